//! A folder that is gone when its story is over; and what is looked for in one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A fresh folder below the system's temporary one.
#[derive(Debug)]
pub struct Folder(PathBuf);

/// The system's temporary folder, by the name that a tracer tells.
fn temp_dir() -> PathBuf {
    std::env::temp_dir().canonicalize().expect("a temporary folder")
}

impl Folder {
    /// Makes one.
    ///
    /// # Panics
    /// When the system has no room for it.
    #[must_use]
    pub fn fresh() -> Self {
        let path = temp_dir().join(format!("relay-story-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).expect("a fresh folder");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it and says where.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a file is written");
        path
    }

    /// Lets every user of the system write into it.
    ///
    /// # Panics
    /// When it is not ours.
    pub fn open_to_all(&self) {
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&self.0, all).expect("it is ours");
    }

    /// The names in a folder below it.
    #[must_use]
    pub fn names(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(below)).into_iter().flatten();
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every file below a folder that has one of these in it.
///
/// # Panics
/// When one cannot be read.
#[must_use]
pub fn files_with(folder: &Path, wanted: &[impl AsRef<[u8]>]) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = read(&path);
            let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|at| at == wanted);
            if wanted.iter().any(|wanted| has(wanted.as_ref())) {
                found.push(path);
            }
        }
    }
    found
}

/// What is in a file, read by another process: who opens and closes one of an open database takes its locks away from the
/// whole process, and the next one to come empties what is mapped into memory here.
fn read(path: &Path) -> Vec<u8> {
    let read = Command::new("cat").arg(path).output().expect("cat");
    assert!(read.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&read.stderr));
    read.stdout
}
