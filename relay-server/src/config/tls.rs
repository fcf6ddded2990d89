//! The settings of TLS: which files, and whether they are sound.

use std::path::PathBuf;

use http::Uri;

use super::{Given, between, domain};
use crate::tls::{AcmeSettings, Demand, Pair, TlsSettings, check_authority, check_pairs};

/// Reads them, and looks into the files: what is wrong with one is told with everything else.
pub(super) fn read(given: &mut Given) -> TlsSettings {
    let settings = TlsSettings {
        pairs: pairs(given),
        acme: acme(given),
        agent_ca: given.take_optional("agent_ca_file", |path| Ok(PathBuf::from(path))),
        demand: given.take("agent_ca_for", demand),
    };
    if let Some(file) = &settings.agent_ca {
        if let Err(why) = check_authority(file) {
            given.refuse("agent_ca_file", &why);
        }
        if !settings.is_on() {
            given.refuse("agent_ca_file", "is for a relay that speaks TLS itself: see tls_cert");
        }
    }
    settings
}

fn acme(given: &mut Given) -> Option<AcmeSettings> {
    let settings = AcmeSettings {
        names: given.take("acme_domain", names),
        email: given.take_optional("acme_email", email),
        directory: given.take("acme_directory", directory),
        ca_file: given.take_optional("acme_ca_file", |path| Ok(PathBuf::from(path))),
        retry: given.take("acme_retry", |text| between(text, 1, 6 * 3600)),
        in_clear: given.take_optional("http_listen", |_| Ok(())).is_some(),
    };
    if let Some(file) = &settings.ca_file
        && let Err(why) = check_authority(file)
    {
        given.refuse("acme_ca_file", &why);
    }
    (!settings.names.is_empty()).then_some(settings)
}

/// Names that a certificate can be ordered for by showing that one is there: no addresses, no wildcards.
fn names(text: &str) -> Result<Vec<String>, String> {
    let names = text.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match domain(name)? {
            name if name.parse::<std::net::IpAddr>().is_ok() => {
                Err(format!("{name} is an address"))
            }
            name => Ok(name),
        })
        .collect()
}

fn email(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|c| c.is_ascii_graphic() && !b",;?&<>".contains(&c));
    match text.split_once('@') {
        Some((user, host)) if plain && !user.is_empty() && !host.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no e-mail address")),
    }
}

fn directory(text: &str) -> Result<String, String> {
    let https = text.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https"));
    if https { Ok(text.to_owned()) } else { Err(format!("{text:?} is no https URL")) }
}

fn pairs(given: &mut Given) -> Vec<Pair> {
    let (certificates, keys) = (given.take("tls_cert", paths), given.take("tls_key", paths));
    if certificates.len() != keys.len() {
        let name = if certificates.len() > keys.len() { "tls_cert" } else { "tls_key" };
        let why = format!("{} certificates and {} keys", certificates.len(), keys.len());
        given.refuse(name, &format!("each certificate needs its key: there are {why}"));
        return Vec::new();
    }
    let pairs = certificates.into_iter().zip(keys);
    let pairs: Vec<Pair> = pairs.map(|(certificate, key)| Pair { certificate, key }).collect();
    if let Err(why) = check_pairs(&pairs) {
        given.refuse("tls_cert", &why);
    }
    pairs
}

/// One path, or several with commas between them.
fn paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    Ok(paths.map(PathBuf::from).collect())
}

fn demand(text: &str) -> Result<Demand, String> {
    match text.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        ["agents"] => Ok(Demand::Agents),
        ["agents", "api"] | ["api", "agents"] => Ok(Demand::AgentsAndApi),
        _ => Err(format!("{text:?} is neither agents nor agents,api")),
    }
}
