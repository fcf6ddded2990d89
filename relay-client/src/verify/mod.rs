//! Who may have sent a webhook, judged on this side of the firewall, so that the secret never leaves it: the rules are
//! `relay_trust`'s, the files are read here.

mod saved;
mod secrets;
mod told;
pub mod vector;
mod verifier;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use relay_trust::{Profile, Profiles};

pub use saved::{Field, Saved};
use secrets::read_secrets_of;
pub use secrets::{read_secret, read_secrets};
pub use told::{NotTold, Told, VERIFICATION};
pub(crate) use verifier::Table;
pub use verifier::{BODY_MAX, OnFailure, Verifier, Wanted};

/// The profiles that come with the program, and those of a file.
///
/// # Errors
/// Everything that is wrong with the file, a line each.
pub fn profiles(file: Option<&Path>) -> Result<Arc<Profiles>, String> {
    let Some(path) = file else { return Ok(Profiles::embedded()) };
    let at = |why: &str| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| at(&e.to_string()))?;
    Profiles::with_file(&text).map(Arc::new).map_err(|error| {
        let all: Vec<String> = error.to_string().lines().map(at).collect();
        all.join("\n")
    })
}

/// The profile of this provider, for these parameters.
///
/// # Errors
/// What is wrong with the name or the parameters, in words.
pub fn profile(
    profiles: &Profiles,
    provider: &str,
    params: &BTreeMap<String, String>,
) -> Result<Profile, String> {
    let found = profiles.get(provider).ok_or_else(|| {
        let names: Vec<&str> = profiles.names().collect();
        format!("there is no provider {provider:?}: it may be one of {}", names.join(", "))
    })?;
    found.fit(params)
}

/// A parameter as people write it: `NAME=VALUE`.
///
/// # Errors
/// What was wanted, in words.
pub fn param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is wanted")?;
    Ok((name.to_owned(), value.to_owned()))
}
