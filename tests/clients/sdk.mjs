// Asks the providers' SDKs for Node, as sdk.py does those for Python. NODE_MODULES says where they are.
import crypto from "node:crypto";
import { createRequire } from "node:module";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_MODULES}/from.js`);

const octokit = async (secret) => {
  const entry = `${process.env.NODE_MODULES}/@octokit/webhooks/dist-bundle/index.js`;
  return new (await import(pathToFileURL(entry))).Webhooks({ secret });
};
const stripe = () => {
  const Stripe = require("stripe");
  return new (Stripe.default ?? Stripe)("sk_test_nothing_is_asked").webhooks;
};
const form = (body) => Object.fromEntries(new URLSearchParams(body.toString()));

// Svix and Standard Webhooks: one class, two prefixes.
const webhook = (library, prefix) => ({
  sign({ secret, body }) {
    const id = `msg_${crypto.randomUUID()}`;
    const now = new Date();
    const signature = new (require(library).Webhook)(secret).sign(id, now, body.toString());
    return {
      [`${prefix}-id`]: id,
      [`${prefix}-timestamp`]: String(Math.floor(now / 1000)),
      [`${prefix}-signature`]: signature,
    };
  },
  verify({ secret, body, headers }) {
    try {
      new (require(library).Webhook)(secret).verify(body.toString(), headers);
    } catch (error) {
      // What is returned is the body's JSON, if it is that; the signature was good by then.
      if (!(error instanceof SyntaxError)) throw error;
    }
    return true;
  },
});

const SDKS = {
  octokit: {
    sign: async ({ secret, body }) => ({
      "X-GitHub-Event": "push",
      "X-GitHub-Delivery": crypto.randomUUID(),
      "X-Hub-Signature-256": await (await octokit(secret)).sign(body.toString()),
    }),
    verify: async ({ secret, body, headers }) =>
      (await octokit(secret)).verify(body.toString(), headers["x-hub-signature-256"]),
  },
  stripe: {
    sign: ({ secret, body }) => ({
      "Stripe-Signature": stripe().generateTestHeaderString({ payload: body.toString(), secret }),
    }),
    verify({ secret, body, headers }) {
      stripe().constructEvent(body, headers["stripe-signature"], secret);
      return true;
    },
  },
  twilio: {
    sign: ({ secret, body, url }) => ({
      "X-Twilio-Signature": require("twilio").getExpectedTwilioSignature(secret, url, form(body)),
    }),
    verify: ({ secret, body, url, headers }) =>
      require("twilio").validateRequest(secret, headers["x-twilio-signature"], url, form(body)),
  },
  svix: webhook("svix", "svix"),
  standardwebhooks: webhook("standardwebhooks", "webhook"),
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  asked.body = Buffer.from(asked.body, "base64");
  let said;
  try {
    said = { said: await SDKS[asked.sdk][asked.do](asked) };
  } catch (error) {
    said = { said: null, why: String(error) };
  }
  console.log(JSON.stringify(said));
}
