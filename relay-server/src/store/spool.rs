//! Files for bodies that are too large for memory and for the database.
//!
//! A file is written under a temporary name, synced, and renamed before the row that names it is committed. Without such
//! a row it goes with the last who has it in hand; what a crash left behind is swept at start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use relay_protocol::id::EventId;
use tokio::task::spawn_blocking;

use crate::durable::{keep_name, make_folder};

/// Bodies above this many bytes are spooled. Smaller ones ride in the database, where a group commit takes many at once.
pub const SPOOL_ABOVE: usize = 256 * 1024;

/// How much of a file is shown at once to who only looks through it, in bytes.
const SEEN_AT_ONCE: usize = 16 * 1024;

/// The directory of spooled bodies.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// The spool of a data directory, made if there is none.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(data: &Path) -> io::Result<Self> {
        let spool = Self::at(data);
        make_folder(&spool.directory)?;
        Ok(spool)
    }

    /// The spool of a data directory, to look at what is there.
    #[must_use]
    pub fn at(data: &Path) -> Self {
        Self { directory: data.join("spool") }
    }

    /// A new file for an event's body. Blocking.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(self: &Arc<Self>, event: EventId) -> io::Result<Spooled> {
        let path = self.directory.join(format!("{event}.part"));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let (len, kept, owned) = (AtomicU64::new(0), AtomicBool::default(), AtomicBool::default());
        let (sum, expected) = (Mutex::default(), None);
        Ok(Spooled { spool: Arc::clone(self), event, file, len, sum, expected, kept, owned })
    }

    /// Opens the kept body of an event, of this length and, if that is known, with this sum. Blocking.
    ///
    /// # Errors
    /// When there is none.
    pub fn load(
        self: &Arc<Self>,
        event: EventId,
        expected: (u64, Option<u32>),
    ) -> io::Result<Spooled> {
        let file = File::open(self.path(event))?;
        let len = AtomicU64::new(file.metadata()?.len());
        let (kept, owned) = (AtomicBool::new(true), AtomicBool::new(true));
        let (sum, expected) = (Mutex::default(), Some(expected));
        Ok(Spooled { spool: Arc::clone(self), event, file, len, sum, expected, kept, owned })
    }

    /// Deletes the kept body of an event. Blocking.
    ///
    /// # Errors
    /// When it is there and cannot be deleted.
    pub fn remove(&self, event: EventId) -> io::Result<()> {
        match fs::remove_file(self.path(event)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes every file that no row speaks of. Blocking; only before anything is accepted.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn sweep(&self, wanted: impl Fn(EventId) -> bool) -> io::Result<usize> {
        let mut swept = 0;
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let event = path.file_name().and_then(|name| name.to_str()?.parse::<EventId>().ok());
            if !event.is_some_and(&wanted) {
                fs::remove_file(&path)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn path(&self, event: EventId) -> PathBuf {
        self.directory.join(event.to_string())
    }
}

/// One spooled body. A file of which no row speaks is deleted when dropped.
#[derive(Debug)]
pub struct Spooled {
    spool: Arc<Spool>,
    event: EventId,
    file: File,
    len: AtomicU64,
    /// Of what was written.
    sum: Mutex<crc32fast::Hasher>,
    /// The length and the sum that it had when it was kept, for one that was opened again.
    expected: Option<(u64, Option<u32>)>,
    /// It has its final name.
    kept: AtomicBool,
    /// A committed row speaks of it.
    owned: AtomicBool,
}

impl Spooled {
    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes at the end; one writer only. Blocking.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let at = self.len();
        self.file.write_all_at(bytes, at)?;
        self.sum.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        self.len.store(at + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Reads up to `most` bytes from an offset; none at the end.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub async fn piece(self: &Arc<Self>, at: u64, most: usize) -> io::Result<Bytes> {
        // Allocated here: of what the many threads that read allocate, each would keep some for itself.
        let (file, buffer) = (Arc::clone(self), self.room(at, most));
        spawn_blocking(move || file.fill(buffer, at)).await.map_err(io::Error::other)?
    }

    /// The same, blocking.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        self.fill(self.room(at, most), at)
    }

    /// Room for what there is from an offset on.
    fn room(&self, at: u64, most: usize) -> Vec<u8> {
        let there = usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX);
        vec![0; most.min(there)]
    }

    fn fill(&self, mut buffer: Vec<u8>, at: u64) -> io::Result<Bytes> {
        self.file.read_exact_at(&mut buffer, at)?;
        Ok(buffer.into())
    }

    /// The sum of what was written.
    #[must_use]
    pub fn sum(&self) -> u32 {
        self.sum.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize()
    }

    /// Whether it is what was kept: reads all of one that was opened again. Blocking.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Some((length, sum)) = self.expected else { return true };
        if self.len() != length {
            return false;
        }
        let Some(sum) = sum else { return true };
        let mut read = crc32fast::Hasher::new();
        self.each(|bytes| read.update(bytes)).is_ok() && read.finalize() == sum
    }

    /// Shows all of it, part by part, from the beginning. Blocking.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub fn each(&self, mut see: impl FnMut(&[u8])) -> io::Result<()> {
        let (mut at, length) = (0, self.len());
        // On the stack, for the same reason as in `piece`.
        let mut buffer = [0; SEEN_AT_ONCE];
        while at < length {
            let there = usize::try_from(length - at).unwrap_or(usize::MAX).min(SEEN_AT_ONCE);
            self.file.read_exact_at(&mut buffer[..there], at)?;
            see(&buffer[..there]);
            at += there as u64;
        }
        Ok(())
    }

    /// Makes it durable under its final name. Blocking.
    ///
    /// # Errors
    /// When the disk does not do it; the file is not kept then.
    pub fn keep(&self) -> io::Result<()> {
        self.file.sync_data()?;
        let path = self.spool.path(self.event);
        fs::rename(self.part(), &path)?;
        self.kept.store(true, Ordering::Release);
        keep_name(&path)
    }

    /// A committed row speaks of it: from here on it goes with the row.
    pub fn belongs_to_a_row(&self) {
        self.owned.store(true, Ordering::Release);
    }

    fn part(&self) -> PathBuf {
        self.spool.directory.join(format!("{}.part", self.event))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if *self.owned.get_mut() {
            return;
        }
        let path = if *self.kept.get_mut() { self.spool.path(self.event) } else { self.part() };
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(event = %self.event, %error, "a spool file that is not wanted stays behind");
        }
    }
}
