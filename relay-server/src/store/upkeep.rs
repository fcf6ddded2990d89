//! What is done with a store as a whole, beside the relay: backup, restore, check.

use std::path::Path;

use super::{OpenError, sqlite};

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{0} is there already; a backup never overwrites one")]
    Exists(String),
    /// The store is not as it should be.
    #[error(transparent)]
    Open(OpenError),
    /// The disk does not do it.
    #[error(transparent)]
    Disk(#[from] std::io::Error),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// What a check has found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many events there are.
    pub events: i64,
    /// Every damage, in words.
    pub damages: Vec<String>,
}

/// Copies the store of a directory into a file, while the relay runs or not. Blocking.
///
/// # Errors
/// [`BackupError`]; there is no file then.
pub fn backup(data: &Path, file: &Path) -> Result<(), BackupError> {
    sqlite::backup::write(data, file)
}

/// Makes a store in a directory from a backup. Blocking.
///
/// # Errors
/// [`BackupError`]; there is no store then.
pub fn restore(file: &Path, data: &Path) -> Result<(), BackupError> {
    sqlite::backup::restore(file, data)
}

/// Looks over the store of a directory, while the relay runs or not. Blocking.
///
/// # Errors
/// [`OpenError`] when it cannot even be read.
pub fn check(data: &Path) -> Result<Report, OpenError> {
    sqlite::check::check(data)
}
