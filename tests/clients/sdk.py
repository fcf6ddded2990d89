"""Asks the providers' Python SDKs. One JSON line in, one out: what was signed, or whether they accept it.

{"do": "sign" or "verify", "sdk", "secret", "url", "body" (base64), "headers" (to verify: values by names in lower case)}
"""
import base64
import json
import sys
import time
import uuid
from datetime import datetime, timezone
from urllib.parse import parse_qsl


class Stripe:
    def sign(self, secret, body, url):
        from stripe import WebhookSignature

        now = int(time.time())
        signature = WebhookSignature._compute_signature(f"{now}.{body.decode()}", secret)
        return {"Stripe-Signature": f"t={now},v1={signature}"}

    def verify(self, secret, body, url, headers):
        from stripe import Webhook

        Webhook.construct_event(body, headers["stripe-signature"], secret)
        return True


class Slack:
    def sign(self, secret, body, url):
        from slack_sdk.signature import SignatureVerifier

        now = str(int(time.time()))
        signature = SignatureVerifier(secret).generate_signature(timestamp=now, body=body)
        return {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": signature}

    def verify(self, secret, body, url, headers):
        from slack_sdk.signature import SignatureVerifier

        return SignatureVerifier(secret).is_valid_request(body, headers)


class Twilio:
    def validator(self, secret):
        from twilio.request_validator import RequestValidator

        return RequestValidator(secret)

    def form(self, body):
        return dict(parse_qsl(body.decode(), keep_blank_values=True))

    def sign(self, secret, body, url):
        return {"X-Twilio-Signature": self.validator(secret).compute_signature(url, self.form(body))}

    def verify(self, secret, body, url, headers):
        return self.validator(secret).validate(url, self.form(body), headers["x-twilio-signature"])


class Svix:
    prefix = "svix"

    def webhook(self, secret):
        from svix.webhooks import Webhook

        return Webhook(secret)

    def sign(self, secret, body, url):
        now, name = int(time.time()), f"msg_{uuid.uuid4().hex}"
        at = datetime.fromtimestamp(now, timezone.utc)
        signature = self.webhook(secret).sign(name, at, body.decode())
        fields = {"id": name, "timestamp": str(now), "signature": signature}
        return {f"{self.prefix}-{field}": value for field, value in fields.items()}

    def verify(self, secret, body, url, headers):
        try:
            self.webhook(secret).verify(body, headers)
        except json.JSONDecodeError:
            pass  # What is returned is the body's JSON, if it is that; the signature was good by then.
        return True


class StandardWebhooks(Svix):
    prefix = "webhook"

    def webhook(self, secret):
        from standardwebhooks.webhooks import Webhook

        return Webhook(secret)


SDKS = {
    "stripe": Stripe(),
    "slack": Slack(),
    "twilio": Twilio(),
    "svix": Svix(),
    "standardwebhooks": StandardWebhooks(),
}

for line in sys.stdin:
    asked = json.loads(line)
    what, sdk = asked.pop("do"), SDKS[asked.pop("sdk")]
    asked["body"] = base64.b64decode(asked["body"])
    try:
        said = {"said": getattr(sdk, what)(**asked)}
    except Exception as error:
        said = {"said": None, "why": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)
