//! A disk that can be full: a small file system in memory, put where a relay has its store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk, for as long as this lives.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Puts a disk of this size at a folder, with what the folder holds. Nothing may have it open.
    ///
    /// # Errors
    /// Why that cannot be done here: it takes root and a kernel that allows it.
    ///
    /// # Panics
    /// When the folder cannot be copied.
    pub fn at(folder: &Path, mebibytes: u32) -> Result<Self, String> {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).expect("the folder moves aside");
        fs::create_dir(folder).expect("a folder");
        let mounted = run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "relay-story"],
            folder,
        );
        let from = aside.join(".");
        run("cp", &["-a", &from.display().to_string()], folder).expect("its content moves");
        fs::remove_dir_all(&aside).expect("the old content goes");
        mounted.map(|()| Self { at: folder.to_path_buf() })
    }

    /// Takes all the room there is.
    ///
    /// # Panics
    /// When that fails for another reason than the lack of room.
    pub fn fill(&self) {
        let mut piece = 1 << 20;
        let mut filler = fs::File::create(self.filler()).expect("a file");
        // Down to the last byte: whole pieces first, then smaller ones.
        while piece > 0 {
            match std::io::Write::write(&mut filler, &vec![0; piece]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece /= 2,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives it back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a relay that is just being killed may have files open.
        let _ = run("umount", &["-l"], &self.at);
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).arg(folder).output();
    match ran {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
