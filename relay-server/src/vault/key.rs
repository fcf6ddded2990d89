//! The key that seals secrets: read from a file or a text, made where there is none. It is never in the store.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::durable::keep_name_if_readable;

/// The length of a key, in bytes.
const KEY_LEN: usize = 32;

/// What a sealed secret begins with: the form of what follows, a nonce and a text sealed with AES-256-GCM (RFC 5116 §5.2).
const FORM: u8 = 1;

/// What people do who have no key.
pub const HOW_TO: &str = "make a key with `openssl rand -base64 32 > FILE`, keep it away from the store, and start \
                          the relay with --secrets-key-file FILE";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is none. The text itself is not told.
    #[error("a key is 32 random bytes in base64 or hex, alone in its file or variable")]
    Malformed,
    /// The file cannot be read or made.
    #[error("{0}: {1}")]
    File(String, io::Error),
}

/// Where the key is.
#[derive(Clone, Default)]
pub enum KeySource {
    /// Beside the store, if it is there.
    #[default]
    Beside,
    /// In this file.
    File(PathBuf),
    /// Here.
    Text(Arc<str>),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beside => f.write_str("Beside"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Text(_) => f.write_str("Text(***)"),
        }
    }
}

impl KeySource {
    /// The key of the store in a directory; none where nobody has said where it is, and it is not beside the store.
    ///
    /// # Errors
    /// [`KeyError`] when it is not to be had where it should be.
    pub fn read(&self, data: &Path) -> Result<Option<SealKey>, KeyError> {
        let beside = beside(data);
        match self {
            Self::Beside if !beside.exists() => Ok(None),
            Self::Beside => SealKey::read(&beside).map(Some),
            Self::File(path) => SealKey::read(path).map(Some),
            Self::Text(text) => SealKey::parse(text).map(Some),
        }
    }

    /// Where that is, in words.
    #[must_use]
    pub fn told(&self, data: &Path) -> String {
        match self {
            Self::Beside => beside(data).display().to_string(),
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "RELAY_SECRETS_KEY".to_owned(),
        }
    }
}

/// A key.
pub struct SealKey(LessSafeKey);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

impl SealKey {
    /// The key in a text.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        // 64 digits of hex are base64 as well, of another length.
        let bytes = if text.len() == 2 * KEY_LEN { hex(text) } else { STANDARD.decode(text).ok() };
        let bytes = bytes.filter(|bytes| bytes.len() == KEY_LEN).ok_or(KeyError::Malformed)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Malformed)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// The key in a file.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong, and with which file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let told = |error| KeyError::File(path.display().to_string(), error);
        let text = std::fs::read_to_string(path).map_err(told)?;
        Self::parse(&text).map_err(|error| told(io::Error::other(error)))
    }

    /// Makes a file with a fresh key, for nobody but its owner, unless there is a file already. Whenever this is killed, the
    /// file is there whole or not at all.
    ///
    /// # Errors
    /// [`KeyError::File`] when it cannot be made.
    ///
    /// # Panics
    /// When the system has no randomness to give; nothing secret works then.
    pub fn make(path: &Path) -> Result<(), KeyError> {
        let made = if path.exists() { keep(path) } else { make_where_none_is(path) };
        made.map_err(|error| KeyError::File(path.display().to_string(), error))
    }

    /// Seals a text for one place: it opens nowhere else.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    #[must_use]
    pub fn seal(&self, place: &str, plain: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the system's randomness");
        let mut text = plain.as_bytes().to_vec();
        let (unique, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(place));
        self.0.seal_in_place_append_tag(unique, aad, &mut text).expect("a secret is short");
        [&[FORM][..], &nonce, &text].concat()
    }

    /// Opens what was sealed for this place; `None` when it was sealed with another key, for another place, or altered.
    #[must_use]
    pub fn open(&self, place: &str, sealed: &[u8]) -> Option<String> {
        let sealed = sealed.strip_prefix(&[FORM])?;
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let (nonce, mut text) = (Nonce::try_assume_unique_for_key(nonce).ok()?, text.to_vec());
        let plain = self.0.open_in_place(nonce, Aad::from(place), &mut text).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

/// Keeps a key's file: whoever made it may not have.
fn keep(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    keep_name_if_readable(path)
}

fn make_where_none_is(path: &Path) -> io::Result<()> {
    let mut bytes = [0; KEY_LEN];
    SystemRandom::new().fill(&mut bytes).expect("the system's randomness");
    // Under a name that nobody else has; what a kill leaves there was never anybody's key.
    let part = part(path);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = writeln!(file, "{}", STANDARD.encode(bytes)).and_then(|()| file.sync_all());
    let named = written.and_then(|()| name(&part, path));
    let _ = std::fs::remove_file(&part);
    match named {
        // Somebody else was faster, and that is the key.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => keep(path),
        named => named.and_then(|()| {
            keep_name_if_readable(path).inspect_err(|_| {
                // One that is forgotten would be taken for the key until then.
                let _ = std::fs::remove_file(path);
            })
        }),
    }
}

/// Gives a file its name, unless there is one of that name.
fn name(part: &Path, path: &Path) -> io::Result<()> {
    std::fs::hard_link(part, path).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Err(error),
        // On some disks no file has two names.
        _ => std::fs::rename(part, path),
    })
}

/// Where a key is made.
fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.part", fastrand::u64(..)));
    path.with_file_name(name)
}

/// Whether these bytes look like something sealed; text does not.
#[must_use]
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&FORM)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Where the key of a store is looked for if nobody says otherwise: beside its directory, not in it.
#[must_use]
pub fn beside(data: &Path) -> PathBuf {
    let whole = data.canonicalize().unwrap_or_else(|_| data.to_path_buf());
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    name.push(".key");
    whole.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn what_is_sealed_opens_with_its_key_at_its_place_and_nowhere_else() {
        let key = SealKey::parse(HEX).unwrap();
        let sealed = key.seal("provider/a", "s3cret");
        assert!(!sealed.windows(6).any(|bytes| bytes == b"s3cret"));
        assert_eq!(SealKey::parse(BASE64).unwrap().open("provider/a", &sealed).unwrap(), "s3cret");
        assert_ne!(key.seal("provider/a", "s3cret"), sealed, "equal secrets do not look equal");
        assert_eq!(key.open("provider/b", &sealed), None);
        let other = SealKey::parse(&HEX.replace("00", "ff")).unwrap();
        assert_eq!(other.open("provider/a", &sealed), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(key.open("provider/a", &altered), None, "byte {at}");
            assert_eq!(key.open("provider/a", &sealed[..at]), None, "only {at} bytes");
        }
    }

    #[test]
    fn a_key_is_32_bytes_and_its_text_is_never_told() {
        let bad = ["", "a", &HEX[1..], &HEX.replace('0', "g"), &format!("{BASE64}="), "AAECAw=="];
        for text in bad {
            let told = SealKey::parse(text).unwrap_err().to_string();
            assert!(text.is_empty() || text == "a" || !told.contains(text), "{told}");
        }
        assert_eq!(format!("{:?}", SealKey::parse(HEX).unwrap()), "SealKey(***)");
    }

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("relay-key-{:x}", fastrand::u64(..)));
        std::fs::create_dir_all(folder.join("store")).unwrap();
        folder
    }

    #[test]
    fn those_who_make_a_key_at_once_get_one_whole_key_and_leave_nothing_else() {
        let folder = folder();
        let path = folder.join("store.key");
        let seal = || {
            SealKey::make(&path).unwrap();
            SealKey::read(&path).unwrap().seal("x", "y")
        };
        let sealed = std::thread::scope(|scope| {
            let all: Vec<_> = (0..16).map(|_| scope.spawn(seal)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        let key = SealKey::read(&path).unwrap();
        assert!(sealed.iter().all(|one| key.open("x", one).is_some()));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "the store and its key");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_name_that_leads_nowhere_is_told_and_left_alone() {
        let folder = folder();
        let path = folder.join("store.key");
        std::os::unix::fs::symlink(folder.join("not-mounted"), &path).unwrap();
        SealKey::make(&path).unwrap_err();
        assert!(path.is_symlink());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "the store and its key's name");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let path = beside(&folder.join("store"));
        assert_eq!(path, folder.canonicalize().unwrap().join("store.key"));
        SealKey::make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = SealKey::read(&path).unwrap().seal("x", "y");
        SealKey::make(&path).unwrap();
        assert_eq!(SealKey::read(&path).unwrap().open("x", &sealed).unwrap(), "y");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
