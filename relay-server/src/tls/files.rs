//! The operator's own certificates: files that somebody else renews, taken over when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use rustls::sign::CertifiedKey;

use super::certificate;
use super::names::Names;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Two files that belong together, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate and those above it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// All of them, and what was last seen in them.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pairs: Vec<Pair>,
    /// The digest of what was last looked into, good or bad.
    seen: Option<[u8; 32]>,
}

/// What the files hold.
type Contents = Vec<(Result<Vec<u8>, String>, Result<Vec<u8>, String>)>;

impl Files {
    pub(super) fn new(pairs: &[Pair]) -> Self {
        Self { pairs: pairs.to_vec(), seen: None }
    }

    /// The certificates in them.
    ///
    /// # Errors
    /// What is wrong with the first that is not sound.
    pub(super) fn load(&mut self) -> Result<Vec<Arc<CertifiedKey>>, String> {
        let contents = self.read();
        self.seen = Some(digest(&contents));
        let parsed = self.pairs.iter().zip(contents).map(|(pair, (chain, key))| {
            let (chain, key) = (chain?, key?);
            let told =
                |why| format!("{}, {}: {why}", pair.certificate.display(), pair.key.display());
            certificate::from_pem(&chain, &key).map(Arc::new).map_err(told)
        });
        parsed.collect()
    }

    /// Looks at them for ever, and shows what is new and sound. What is not sound is told once, and the old one stays.
    pub(super) async fn watch(mut self, names: &Names) {
        if self.pairs.is_empty() {
            return;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looking = move || {
                let new = self.seen != Some(digest(&self.read()));
                let loaded = new.then(|| self.load());
                (self, loaded)
            };
            let Ok((files, loaded)) = tokio::task::spawn_blocking(looking).await else { return };
            self = files;
            match loaded {
                None => {}
                Some(Ok(certificates)) => {
                    names.show(certificates);
                    tracing::info!("the certificate has changed; new connections get the new one");
                }
                Some(Err(why)) => {
                    tracing::error!(why, "the new certificate is not used, the old one stays");
                }
            }
        }
    }

    fn read(&self) -> Contents {
        self.pairs.iter().map(|pair| (read(&pair.certificate), read(&pair.key))).collect()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if std::fs::metadata(path).map_err(told)?.len() > FILE_MAX {
        return Err(format!("{}: above {FILE_MAX} bytes", path.display()));
    }
    std::fs::read(path).map_err(told)
}

fn digest(contents: &Contents) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    for part in contents.iter().flat_map(|(chain, key)| [chain, key]) {
        let bytes = part.as_deref().unwrap_or_else(|why| why.as_bytes());
        digest.update(&(bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    }
    digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
