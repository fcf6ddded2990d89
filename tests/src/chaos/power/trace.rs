//! What a program does to files, as a tracer tells it: `strace`, one log for each thread.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folder::Folder;
use crate::wait::holds_within;

/// How long after the program's end the tracer may still write.
const TAIL_MAX: Duration = Duration::from_secs(20);

/// The calls that change files, and those that would change them unseen. Not every machine has those with a question mark.
const CALLS: &str = "trace=?open,?creat,openat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,\
                     copy_file_range,sendfile,?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,\
                     unlinkat,?mkdir,mkdirat,?rmdir,fsync,fdatasync,mmap";

/// In how many of the last bytes of its log a thread's end is told.
const LAST_WORDS: u64 = 64;

/// The longest piece of a file that is told, in bytes.
const PIECE_MAX: &str = "16777216";

/// Something that was done to a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Act {
    /// When it began, in microseconds.
    pub began: u64,
    /// When it was done, in microseconds.
    pub ended: u64,
    /// What was done.
    pub what: What,
}

/// What can be done to a file.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// It was opened to be there, with these permissions if it is new, and emptied if that was asked for.
    Made(PathBuf, u32, bool),
    /// A folder was made.
    MadeFolder(PathBuf),
    /// Bytes were written, at this place or at the end.
    Wrote(PathBuf, Option<u64>, Vec<u8>),
    /// It got this length.
    Cut(PathBuf, u64),
    /// It got another name.
    Renamed(PathBuf, PathBuf),
    /// It got a second name.
    Linked(PathBuf, PathBuf),
    /// Its name was taken away.
    Removed(PathBuf),
    /// A file or a folder was synced.
    Synced(PathBuf),
    /// Anything else, which nobody here understands.
    Unknown(PathBuf, String),
}

/// The log of one program.
#[derive(Debug)]
pub struct Trace {
    folder: Folder,
}

impl Default for Trace {
    fn default() -> Self {
        Self { folder: Folder::fresh() }
    }
}

impl Trace {
    /// What comes before the program on its command line. The program stays our child, so that it can be killed by its id.
    #[must_use]
    pub fn starter(&self) -> Vec<String> {
        let log = self.folder.path().join("thread").display().to_string();
        let words = ["strace", "-D", "-ff", "--seccomp-bpf", "-q", "-ttt", "-T", "-y", "-xx"];
        let more = ["-s", PIECE_MAX, "-e", CALLS, "-o", &log];
        words.iter().chain(&more).map(|&word| word.to_owned()).collect()
    }

    /// All that was done, in the order in which it was done. Waits until the tracer has told it.
    ///
    /// # Panics
    /// When it does not tell the end.
    pub async fn acts(&self) -> Vec<Act> {
        let told = holds_within(TAIL_MAX, async || {
            let logs = self.logs();
            !logs.is_empty() && logs.iter().all(|log| is_whole(log))
        });
        assert!(told.await, "the tracer tells the end of each thread");
        let read = |log: &PathBuf| fs::read_to_string(log).expect("a text");
        let logs: Vec<String> = self.logs().iter().map(read).collect();
        let mut acts: Vec<Act> = logs.iter().flat_map(|log| log.lines()).filter_map(act).collect();
        acts.sort_by_key(|act| act.ended);
        acts
    }

    fn logs(&self) -> Vec<PathBuf> {
        let logs = fs::read_dir(self.folder.path()).expect("a folder");
        logs.map(|log| log.expect("a log").path()).collect()
    }
}

/// Whether a log tells of its thread's end.
fn is_whole(log: &Path) -> bool {
    let mut log = File::open(log).expect("a log");
    let length = log.metadata().expect("a length").len();
    log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS))).expect("its end");
    let mut end = Vec::new();
    log.read_to_end(&mut end).expect("its end");
    String::from_utf8_lossy(&end).contains(" +++ ")
}

/// The act of which a line tells; none if it failed, or was cut short by the program's end.
fn act(line: &str) -> Option<Act> {
    let (time, call) = line.split_once(' ')?;
    let (name, rest) = call.split_once('(')?;
    let (given, result) = rest.rsplit_once(") = ")?;
    if result.starts_with(['-', '?']) {
        return None;
    }
    let (result, took) = result.rsplit_once(" <")?;
    let began = micros(time)?;
    let ended = began + micros(took.trim_end_matches('>'))?;
    let given: Vec<&str> = given.split(", ").collect();
    let what = what(name, &given, result)?;
    Some(Act { began, ended, what })
}

fn what(name: &str, given: &[&str], result: &str) -> Option<What> {
    let first = || given.first().copied();
    let string =
        |n: usize| given.iter().filter(|word| word.starts_with('"')).nth(n).map(|word| path(word));
    let what = match name {
        "openat" | "open" => {
            let given = if name == "openat" { given.get(1..)? } else { given };
            let asked = *given.get(1)?;
            if !asked.contains("O_CREAT") && !asked.contains("O_TRUNC") {
                return None;
            }
            let mode = given.get(2).map_or(Some(0), |mode| u32::from_str_radix(mode, 8).ok())?;
            What::Made(of_file(result)?, mode, asked.contains("O_TRUNC"))
        }
        "write" | "pwrite64" => {
            let mut bytes = bytes(given.get(1)?);
            bytes.truncate(result.parse().ok()?);
            let at = given.get(3).map(|at| at.parse().expect("a place"));
            What::Wrote(of_file(first()?)?, at, bytes)
        }
        "ftruncate" => What::Cut(of_file(first()?)?, given.get(1)?.parse().ok()?),
        "rename" | "renameat" | "renameat2" => What::Renamed(string(0)?, string(1)?),
        "link" | "linkat" => What::Linked(string(0)?, string(1)?),
        "unlink" | "unlinkat" | "rmdir" => What::Removed(string(0)?),
        "mkdir" | "mkdirat" => What::MadeFolder(string(0)?),
        "fsync" | "fdatasync" => What::Synced(of_file(first()?)?),
        "mmap" => {
            let writes = given.get(2)?.contains("PROT_WRITE") && given.get(3)?.contains("SHARED");
            if !writes {
                return None;
            }
            What::Unknown(of_file(given.get(4)?)?, name.into())
        }
        _ => {
            let file = given
                .iter()
                .filter(|word| !word.starts_with("AT_FDCWD"))
                .find_map(|word| of_file(word));
            What::Unknown(file.or_else(|| string(0))?, name.into())
        }
    };
    Some(what)
}

/// The path of an open file, as in `7<path>`; none for what is no file, or has no name any more, as `7<path>(deleted)`.
fn of_file(word: &str) -> Option<PathBuf> {
    let (_, path) = word.split_once('<')?;
    let path = path.strip_suffix('>')?;
    let path = self::path(path);
    path.is_absolute().then_some(path)
}

fn path(text: &str) -> PathBuf {
    let bytes = bytes(text);
    Path::new(std::str::from_utf8(&bytes).expect("a path that is text")).to_path_buf()
}

/// The bytes of a string that is told in hexadecimal, in quotes or not.
fn bytes(text: &str) -> Vec<u8> {
    assert!(!text.ends_with("..."), "it is told whole");
    let digits = text.trim_matches('"').as_bytes();
    let (escapes, rest) = digits.as_chunks::<4>();
    assert!(rest.is_empty(), "each byte is \\x and two digits: {text}");
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
    escapes.iter().map(|escape| digit(escape[2]) << 4 | digit(escape[3])).collect()
}

/// Seconds with six decimals, in microseconds.
fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + part.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_what_was_done() {
        let wrote = r#"17.000010 pwrite64(5<\x2f\x61>, "\x00\xff\x0a", 3, 8) = 2 <0.000005>"#;
        let what = What::Wrote("/a".into(), Some(8), vec![0, 0xff]);
        assert_eq!(act(wrote), Some(Act { began: 17_000_010, ended: 17_000_015, what }));
        let made =
            r#"1.0 openat(AT_FDCWD<\x2f>, "\x62", O_RDWR|O_CREAT, 0600) = 6<\x2f\x62> <0.000001>"#;
        assert_eq!(act(made).unwrap().what, What::Made("/b".into(), 0o600, false));
        let renamed = r#"1.0 rename("\x2f\x61", "\x2f\x62") = 0 <0.000001>"#;
        assert_eq!(act(renamed).unwrap().what, What::Renamed("/a".into(), "/b".into()));
        let linked = r#"1.0 link("\x2f\x61", "\x2f\x62") = 0 <0.000001>"#;
        assert_eq!(act(linked).unwrap().what, What::Linked("/a".into(), "/b".into()));
        let pointed = r#"1.0 symlink("\x2f\x61", "\x2f\x62") = 0 <0.000001>"#;
        assert_eq!(act(pointed).unwrap().what, What::Unknown("/a".into(), "symlink".into()));
        let synced = r"1.0 fdatasync(5<\x2f\x61>) = 0 <0.000001>";
        assert_eq!(act(synced).unwrap().what, What::Synced("/a".into()));
    }

    #[test]
    fn what_failed_or_was_cut_short_has_done_nothing() {
        for line in [
            r#"1.0 unlink("\x2f\x61") = -1 ENOENT (No such file or directory) <0.000012>"#,
            r"1.0 fdatasync(5<\x2f\x61>) = ?",
            r"1.0 fdatasync(5<\x2f\x61> <unfinished ...>",
            r"1.0 +++ killed by SIGKILL +++",
        ] {
            assert_eq!(act(line), None, "{line}");
        }
    }
}
