//! What repeats of each provider are known by. A key that two of its events may share loses one of them, so ask that
//! before you change a line here, and take none where you do not know.

use super::*;

/// Every row of the table, and the value that the setting `dedup` takes from it.
const KEYS: &[(&str, &str)] = &[
    ("adyen", "body"),
    ("asana", "off"),
    ("auth0", "body"),
    ("aws_sns", "json:/MessageId"),
    ("azure_eventgrid", "body"),
    ("bitbucket", "header:x-request-uuid|header:x-request-id"),
    ("box", "json:/id"),
    ("buildkite", "off"),
    ("calendly", "body"),
    ("circleci", "json:/id"),
    ("cloudevents", "off"),
    ("coinbase_commerce", "json:/event/id"),
    ("contentful", "header:x-contentful-idempotency-key"),
    ("discord", "json:/id|body"),
    ("dockerhub", "body"),
    ("docusign", "body"),
    ("dropbox", "off"),
    ("ebay", "json:/notification/notificationId"),
    ("gitea", "header:x-forgejo-delivery|header:x-gitea-delivery"),
    ("github", "header:x-github-delivery"),
    ("gitlab", "header:webhook-id|header:idempotency-key"),
    ("hmac", "off"),
    ("hubspot", "off"),
    ("intercom", "json:/id"),
    ("jira", "body"),
    ("jira_connect", "body"),
    ("jwt", "off"),
    ("line", "off"),
    ("linear", "header:linear-delivery"),
    ("mailchimp", "off"),
    ("mailgun", "json:/signature/token"),
    ("mandrill", "off"),
    ("messagebird", "off"),
    ("meta", "off"),
    ("microsoft_graph", "off"),
    ("monday", "body"),
    ("netlify", "off"),
    ("notion", "json:/id"),
    ("okta", "json:/eventId"),
    ("paddle", "json:/event_id|json:/notification_id"),
    ("pagerduty", "json:/event/id"),
    ("paypal", "json:/id"),
    ("postmark", "body"),
    ("rfc9421", "off"),
    ("sendgrid", "body"),
    ("sentry", "header:request-id"),
    ("shopify", "header:x-shopify-webhook-id"),
    ("slack", "json:/event_id"),
    ("square", "json:/event_id"),
    ("standard-webhooks", "header:webhook-id"),
    ("stripe", "json:/id"),
    ("svix", "header:svix-id|header:webhook-id"),
    ("telegram", "json:/update_id"),
    ("token", "off"),
    ("trello", "body"),
    ("twilio", "header:i-twilio-idempotency-token"),
    ("twitch", "header:twitch-eventsub-message-id"),
    ("typeform", "json:/event_id"),
    ("vercel", "json:/id"),
    ("vonage", "body"),
    ("websub", "off"),
    ("woocommerce", "off"),
    ("workos", "json:/id"),
    ("x_twitter", "body"),
    ("xero", "body"),
    ("zendesk", "header:x-zendesk-webhook-invocation-id"),
    ("zoom", "body"),
];

#[test]
fn what_repeats_of_each_provider_are_known_by_is_written_down() {
    let profiles = Profiles::embedded();
    let found: Vec<(&str, &str)> = profiles
        .names()
        .map(|name| (name, profiles.get(name).and_then(|p| p.dedup()).unwrap_or("off")))
        .collect();
    for (found, wanted) in found.iter().zip(KEYS) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.len(), KEYS.len());
}

#[test]
fn a_row_is_known_by_its_ids_if_it_says_nothing_else() {
    let of = |event: &str| {
        let profiles = Profiles::with_file(&format!("[a]\nevent = {{ {event} }}")).expect("a row");
        profiles.get("a").and_then(|p| p.dedup()).map(str::to_owned)
    };
    assert_eq!(of(""), None);
    assert_eq!(of(r#"id = ["hdr:X-A", "json:b"]"#).as_deref(), Some("header:x-a|json:/b"));
    assert_eq!(of(r#"id = ["json:0.id"]"#), None);
    assert_eq!(of(r#"id = ["hdr:x-a"], dedup = ["body"]"#).as_deref(), Some("body"));
    assert_eq!(of(r#"id = ["hdr:x-a"], dedup = []"#), None);
    let told = wrong("[a]\nevent = { id = [\"hdr:x\"],\n  dedup = [\"json:0.id\"] }");
    assert!(told.contains("line 3: \"json:0.id\" tells no repeats"), "{told}");
}
