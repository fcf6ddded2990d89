//! The settings of TLS: which files, and whether they are sound.

use std::path::PathBuf;

use super::Given;
use crate::tls::{Demand, Pair, TlsSettings, check_authority, check_pairs};

/// Reads them, and looks into the files: what is wrong with one is told with everything else.
pub(super) fn read(given: &mut Given) -> TlsSettings {
    let settings = TlsSettings {
        pairs: pairs(given),
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
