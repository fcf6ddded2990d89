//! Secrets in files: one a file, without the end of its last line.

use std::path::{Path, PathBuf};

use relay_trust::{Profile, Secret};

/// The longest secret, in bytes.
const SECRET_MAX: usize = 64 << 10;

/// The secret in a file.
///
/// # Errors
/// Why there is none, in words that do not tell it.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let at = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| at(e.to_string()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    match secret.len() {
        0 => Err(at("there is no secret in it".into())),
        length if length > SECRET_MAX => Err(at(format!("it is longer than {SECRET_MAX} bytes"))),
        _ => Ok(Secret::new(secret)),
    }
}

/// The secrets in these files, in their order.
///
/// # Errors
/// Why one of them is none.
pub fn read_secrets(files: &[PathBuf]) -> Result<Vec<Secret>, String> {
    files.iter().map(|file| read_secret(file)).collect()
}

/// The same, of a provider.
///
/// # Errors
/// Why one of them is none, or none of this provider.
pub(crate) fn read_secrets_of(profile: &Profile, files: &[PathBuf]) -> Result<Vec<Secret>, String> {
    let read = |file: &PathBuf| {
        let secret = read_secret(file)?;
        let at = |why: String| format!("{}: {why}", file.display());
        profile.check_secret(&secret).map(|()| secret).map_err(at)
    };
    files.iter().map(read).collect()
}
