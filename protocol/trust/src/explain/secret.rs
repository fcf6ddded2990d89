//! What people do to secrets.

use crate::secret::Secret;

/// Each way in which the secrets may be meant, with what is wrong then.
pub(super) fn variants(secrets: &[Secret]) -> Vec<(Vec<Secret>, String)> {
    type Change = (fn(&str) -> String, &'static str);
    let changes: [Change; 8] = [
        (|s| s.trim().to_owned(), "The secret has white space or a line break around it."),
        (
            |s| format!("{s}\n"),
            "It was signed with the secret and a line break behind it: the sender's is wrong.",
        ),
        (
            |s| s.trim().trim_matches(['"', '\'']).to_owned(),
            "The secret has quotation marks around it.",
        ),
        (
            |s| s.strip_prefix("whsec_").unwrap_or(s).to_owned(),
            "It was signed with the secret without its whsec_.",
        ),
        (|s| format!("whsec_{s}"), "The secret lacks its whsec_, which belongs to it."),
        (
            str::to_lowercase,
            "The secret is written in capitals, and it was signed with small letters.",
        ),
        (
            str::to_uppercase,
            "The secret is written in small letters, and it was signed with capitals.",
        ),
        (|s| s.split_whitespace().collect(), "The secret has white space in it."),
    ];
    let mut found: Vec<(Vec<Secret>, String)> = Vec::new();
    for (change, why) in changes {
        let changed = secrets.iter().map(|secret| Secret::new(change(secret.expose())));
        let changed: Vec<Secret> = changed.collect();
        let is_new = changed != secrets && found.iter().all(|(known, _)| *known != changed);
        if is_new {
            found.push((changed, why.to_owned()));
        }
    }
    found
}

/// What can be told of a secret by the way it begins.
pub(super) fn hints(provider: &str, secrets: &[Secret]) -> Vec<String> {
    let kinds = [
        (&["sk_", "rk_", "pk_"][..], "Stripe API key"),
        (&["ghp_", "gho_", "ghs_", "github_pat_"], "GitHub access token"),
        (&["glpat-"], "GitLab access token"),
        (&["xoxb-", "xoxp-", "xapp-"], "Slack token"),
        (&["shpat_", "shpca_"], "Shopify access token"),
    ];
    let begins = |prefixes: &[&str]| {
        secrets
            .iter()
            .any(|secret| prefixes.iter().any(|prefix| secret.expose().starts_with(prefix)))
    };
    let mut told: Vec<String> = kinds
        .into_iter()
        .filter(|(prefixes, _)| begins(prefixes))
        .map(|(_, kind)| format!("The secret looks like a {kind}, which signs no webhooks."))
        .collect();
    if provider == "stripe" && !secrets.is_empty() && !begins(&["whsec_"]) {
        told.push(
            "A signing secret of Stripe begins with whsec_; each of its endpoints has its own."
                .into(),
        );
    }
    told
}
