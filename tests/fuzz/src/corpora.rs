//! The checked-in corpora, beside the targets that they are for. Knows folders and files, and nothing of what is in them.

use std::path::Path;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// The fewest files that are a corpus.
const FILES_MIN: usize = 5;

/// The files of a target, in the order of their names; `corpora` is the folder in which each target has its own.
///
/// # Panics
/// When they cannot be read, or are too few.
pub fn corpus(corpora: &Path, target: &str) -> Vec<Vec<u8>> {
    let folder = corpora.join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() >= FILES_MIN, "{target} has a corpus");
    files.iter().map(|file| std::fs::read(file).expect("a readable file")).collect()
}
