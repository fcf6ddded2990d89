//! The settings of TLS: which files, and whether they are sound.

use std::path::PathBuf;

use super::Given;
use crate::tls::{Pair, TlsSettings};

/// Reads them, and looks into the files: what is wrong with one is told with everything else.
pub(super) fn read(given: &mut Given) -> TlsSettings {
    let (certificates, keys) = (given.take("tls_cert", paths), given.take("tls_key", paths));
    if certificates.len() != keys.len() {
        let name = if certificates.len() > keys.len() { "tls_cert" } else { "tls_key" };
        let why = format!("{} certificates and {} keys", certificates.len(), keys.len());
        given.refuse(name, &format!("each certificate needs its key: there are {why}"));
        return TlsSettings::default();
    }
    let pairs = certificates.into_iter().zip(keys);
    let pairs = pairs.map(|(certificate, key)| Pair { certificate, key }).collect();
    let settings = TlsSettings { pairs };
    if let Err(why) = settings.check() {
        given.refuse("tls_cert", &why);
    }
    settings
}

/// One path, or several with commas between them.
fn paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    Ok(paths.map(PathBuf::from).collect())
}
