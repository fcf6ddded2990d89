//! A folder on a disk with a cache: what was synced is kept, of the rest a power cut keeps what it likes.
//!
//! The disk is as unkind as POSIX allows. A file's bytes are kept in sectors, in any order; its name is kept when its folder
//! was synced. Of names that were not, some first ones are kept: file systems with a journal do not swap them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::trace::{Act, What};

/// What a disk writes at once, in bytes.
const SECTOR: usize = 512;

/// What a power cut destroys is made anew by whoever opens the database.
const NEVER_KEPT: &str = "-shm";

/// The folder as a program sees it, and as it is kept.
#[derive(Debug)]
pub struct CachedDisk {
    root: PathBuf,
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    kept_names: BTreeMap<PathBuf, usize>,
    /// Names that were given or taken since their folder was synced.
    renamings: Vec<(u64, Renaming)>,
}

/// Names that change at once: whose they are from then on.
type Renaming = Vec<(PathBuf, Option<usize>)>;

/// A file or a folder.
#[derive(Debug, Default)]
struct Node {
    folder: bool,
    mode: u32,
    kept: Vec<u8>,
    /// What was done to it since it was synced, and when.
    cached: Vec<(u64, Change)>,
    length: u64,
}

#[derive(Debug)]
enum Change {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

impl CachedDisk {
    /// A folder, all of which is kept.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let root = root.canonicalize().expect("a folder");
        let (nodes, names) = (Vec::new(), BTreeMap::new());
        let (kept_names, renamings) = (BTreeMap::new(), Vec::new());
        let mut disk = Self { root: root.clone(), nodes, names, kept_names, renamings };
        disk.read(&root);
        disk.kept_names.clone_from(&disk.names);
        disk
    }

    fn read(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if !self.has(&path) {
                continue;
            }
            let about = fs::metadata(&path).expect("it is there");
            let (folder, mode) = (about.is_dir(), about.permissions().mode());
            let kept = if folder { Vec::new() } else { fs::read(&path).expect("it is readable") };
            let (length, cached) = (kept.len() as u64, Vec::new());
            self.names.insert(path.clone(), self.nodes.len());
            self.nodes.push(Node { folder, mode, kept, cached, length });
            if folder {
                self.read(&path);
            }
        }
    }

    /// Whether a path is looked after here.
    fn has(&self, path: &Path) -> bool {
        assert!(path.is_absolute(), "it is told from the root: {}", path.display());
        path.starts_with(&self.root)
            && !path.as_os_str().as_encoded_bytes().ends_with(NEVER_KEPT.as_bytes())
    }

    /// Takes down what a program has done.
    ///
    /// # Panics
    /// When it is something that nobody here understands.
    pub fn take(&mut self, act: Act) {
        let Act { began, ended, what } = act;
        match what {
            What::Made(path, mode, emptied) if self.has(&path) => {
                if !self.names.contains_key(&path) {
                    self.add(ended, path, Node { mode, ..Node::default() });
                } else if emptied {
                    self.change(&path, ended, Change::Length(0));
                }
            }
            What::MadeFolder(path) if self.has(&path) => {
                self.add(ended, path, Node { folder: true, mode: 0o700, ..Node::default() });
            }
            What::Wrote(path, at, bytes) if self.has(&path) => {
                let Some(node) = self.names.get(&path) else { return };
                // Whoever does not say where writes into a fresh file, from its beginning to its end.
                let at = at.unwrap_or(self.nodes[*node].length);
                self.change(&path, ended, Change::Bytes(at, bytes));
            }
            What::Cut(path, length) if self.has(&path) => {
                self.change(&path, ended, Change::Length(length));
            }
            What::Renamed(from, to) if self.has(&from) => {
                let node = *self.names.get(&from).expect("it has that name");
                self.rename(ended, vec![(from, None), (to, Some(node))]);
            }
            What::Linked(from, to) if self.has(&from) => {
                let node = *self.names.get(&from).expect("it has that name");
                self.rename(ended, vec![(to, Some(node))]);
            }
            What::Removed(path) if self.has(&path) => self.rename(ended, vec![(path, None)]),
            What::Synced(path) if path.starts_with(&self.root) => self.sync(&path, began),
            What::Unknown(path, name) if self.has(&path) => panic!("{name} of {}", path.display()),
            _ => {}
        }
    }

    fn add(&mut self, at: u64, path: PathBuf, node: Node) {
        self.nodes.push(node);
        self.rename(at, vec![(path, Some(self.nodes.len() - 1))]);
    }

    fn rename(&mut self, at: u64, renaming: Renaming) {
        give(&mut self.names, &renaming);
        self.renamings.push((at, renaming));
    }

    fn change(&mut self, path: &Path, at: u64, change: Change) {
        // What has no name any more is gone anyway.
        let Some(node) = self.names.get(path) else { return };
        let node = &mut self.nodes[*node];
        node.length = match &change {
            Change::Bytes(at, bytes) => node.length.max(at + bytes.len() as u64),
            Change::Length(length) => *length,
        };
        node.cached.push((at, change));
    }

    /// A sync keeps what was there when it began.
    fn sync(&mut self, path: &Path, began: u64) {
        if let Some(node) = self.names.get(path)
            && !self.nodes[*node].folder
        {
            let node = &mut self.nodes[*node];
            let later = node.cached.partition_point(|(at, _)| *at <= began);
            node.cached.drain(..later).for_each(|(_, change)| change.befall(&mut node.kept));
            return;
        }
        let covers = |(at, renaming): &mut (u64, Renaming)| {
            *at <= began && renaming.iter().all(|(name, _)| name.parent() == Some(path))
        };
        for (_, renaming) in self.renamings.extract_if(.., covers) {
            give(&mut self.kept_names, &renaming);
        }
    }

    /// Leaves in the folder what a power cut leaves of it, when so many of the sectors survive that were not synced; says
    /// how much of what was done is gone.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn lose_power(mut self, survive: f64) -> usize {
        let survives = || fastrand::f64() < survive;
        let some = (0..self.renamings.len()).take_while(|_| survives()).count();
        let mut gone = self.renamings.len() - some;
        for (_, renaming) in self.renamings.drain(..some) {
            give(&mut self.kept_names, &renaming);
        }
        for entry in fs::read_dir(&self.root).expect("a folder") {
            let path = entry.expect("an entry").path();
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.expect("it goes");
        }
        // In the order of names a folder comes before what is in it.
        for (path, node) in &self.kept_names {
            let node = &mut self.nodes[*node];
            if !path.parent().is_some_and(Path::is_dir) {
                gone += 1;
                continue;
            }
            for (_, change) in node.cached.drain(..) {
                gone += usize::from(!change.befall_in_parts(&mut node.kept, survives));
            }
            let made = if node.folder { fs::create_dir(path) } else { fs::write(path, &node.kept) };
            made.expect("it is written");
            fs::set_permissions(path, Permissions::from_mode(node.mode)).expect("its permissions");
        }
        gone
    }
}

impl Change {
    fn befall(self, file: &mut Vec<u8>) {
        self.befall_in_parts(file, || true);
    }

    /// Does it as far as its sectors survive; says whether all of it did.
    fn befall_in_parts(self, file: &mut Vec<u8>, survives: impl Fn() -> bool) -> bool {
        let (at, bytes) = match self {
            Self::Length(length) => {
                let does = survives();
                if does {
                    file.resize(length as usize, 0);
                }
                return does;
            }
            Self::Bytes(at, bytes) => (at as usize, bytes),
        };
        let (mut from, mut whole) = (0, true);
        while from < bytes.len() {
            let to = bytes.len().min(from + SECTOR - (at + from) % SECTOR);
            if survives() {
                file.resize(file.len().max(at + to), 0);
                file[at + from..at + to].copy_from_slice(&bytes[from..to]);
            } else {
                whole = false;
            }
            from = to;
        }
        whole
    }
}

/// Gives and takes names.
fn give(names: &mut BTreeMap<PathBuf, usize>, renaming: &Renaming) {
    for (path, node) in renaming {
        match node {
            Some(node) => drop(names.insert(path.clone(), *node)),
            None => drop(names.remove(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    /// What is left of a folder, of which nothing survives that was not synced; acts are told by when they began and ended.
    fn left(acts: impl Fn(&Path) -> Vec<(u64, u64, What)>) -> Vec<(String, Vec<u8>)> {
        let folder = Folder::fresh();
        let mut disk = CachedDisk::of(folder.path());
        let taken = acts(folder.path()).into_iter();
        taken.for_each(|(began, ended, what)| disk.take(Act { began, ended, what }));
        disk.lose_power(0.0);
        let mut names = folder.names("");
        names.sort();
        names
            .into_iter()
            .map(|name| (name.clone(), fs::read(folder.path().join(name)).unwrap()))
            .collect()
    }

    fn made(path: &Path) -> (u64, u64, What) {
        (1, 2, What::Made(path.join("a"), 0o600, false))
    }

    fn wrote(path: &Path, ended: u64, at: u64, byte: u8) -> (u64, u64, What) {
        (2, ended, What::Wrote(path.join("a"), Some(at), vec![byte]))
    }

    #[test]
    fn a_name_is_kept_with_its_folder_and_bytes_with_their_file() {
        let both = left(|folder| {
            let file = (4, 5, What::Synced(folder.join("a")));
            let named = (6, 7, What::Synced(folder.into()));
            vec![made(folder), wrote(folder, 3, 0, b'x'), file, named, wrote(folder, 8, 1, b'y')]
        });
        assert_eq!(both, [("a".to_owned(), b"x".to_vec())]);
        let nameless = left(|folder| {
            vec![made(folder), wrote(folder, 3, 0, b'x'), (4, 5, What::Synced(folder.join("a")))]
        });
        assert_eq!(nameless, []);
        let empty = left(|folder| {
            vec![made(folder), wrote(folder, 3, 0, b'x'), (4, 5, What::Synced(folder.into()))]
        });
        assert_eq!(empty, [("a".to_owned(), Vec::new())]);
    }

    #[test]
    fn a_sync_keeps_nothing_that_was_written_while_it_ran() {
        let late = left(|folder| {
            let file = (4, 6, What::Synced(folder.join("a")));
            vec![made(folder), wrote(folder, 5, 0, b'x'), file, (7, 8, What::Synced(folder.into()))]
        });
        assert_eq!(late, [("a".to_owned(), Vec::new())]);
    }

    #[test]
    fn the_old_name_stays_until_the_folder_is_synced() {
        let renamed = left(|folder| {
            let first = (3, 4, What::Synced(folder.into()));
            vec![made(folder), first, (5, 6, What::Renamed(folder.join("a"), folder.join("b")))]
        });
        assert_eq!(renamed, [("a".to_owned(), Vec::new())]);
    }
}
