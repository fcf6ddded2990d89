//! Names that outlast a power cut. What is synced keeps its content; the name of a new file or folder is kept only when the
//! folder that it stands in is synced as well (fsync(2)).

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a folder and those above it, where there are none, and keeps the names of all that were made. Blocking.
///
/// # Errors
/// When one cannot be made or kept.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let named = folder.ancestors().filter(|path| !path.as_os_str().is_empty());
    let missing = named.take_while(|path| !path.exists()).count();
    fs::create_dir_all(folder)?;
    // Its own name always: whoever made it may have been killed before that was kept.
    folder.ancestors().take(missing.max(1)).try_for_each(keep_name_if_readable)
}

/// Keeps the name of a file or a folder, and its absence if it was removed. Blocking.
///
/// # Errors
/// When the folder that it stands in cannot be synced.
pub(crate) fn keep_name(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The same in a folder that may be somebody else's: what may not be read cannot be synced, and there the system keeps names
/// in its own time. Blocking.
///
/// # Errors
/// When the folder cannot be synced for another reason.
pub(crate) fn keep_name_if_readable(path: &Path) -> io::Result<()> {
    match keep_name(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        kept => kept,
    }
}
