//! The operator's own files, certificates and the agents' authority: somebody else renews them, and they are taken over
//! when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use rustls::sign::CertifiedKey;

use super::certificate;
use super::clients::Agents;

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
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pairs: Vec<Pair>,
    agent_ca: Option<PathBuf>,
    /// The digest of what was last looked into, good or bad.
    seen: Option<[u8; 32]>,
}

/// What is in them.
pub(super) struct Loaded {
    /// The certificates.
    pub(super) certificates: Vec<Arc<CertifiedKey>>,
    /// The agents' authority, if there is to be one.
    pub(super) agents: Option<Agents>,
}

/// The bytes of a file, or why there are none.
type Content = Result<Vec<u8>, String>;

impl Files {
    pub(super) fn new(pairs: &[Pair], agent_ca: Option<&Path>) -> Self {
        Self { pairs: pairs.to_vec(), agent_ca: agent_ca.map(Path::to_path_buf), seen: None }
    }

    /// What is in them.
    ///
    /// # Errors
    /// What is wrong with the first that is not sound.
    pub(super) fn load(&mut self) -> Result<Loaded, String> {
        let contents = self.read();
        self.seen = Some(digest(&contents));
        let mut contents = contents.into_iter();
        let mut next = || contents.next().unwrap_or_else(|| Err("a file is missing".into()));
        let mut certificates = Vec::with_capacity(self.pairs.len());
        for Pair { certificate, key } in &self.pairs {
            let read = certificate::from_pem(&next()?, &next()?);
            let told = |why| format!("{}, {}: {why}", certificate.display(), key.display());
            certificates.push(Arc::new(read.map_err(told)?));
        }
        let agents = match &self.agent_ca {
            None => None,
            Some(path) => {
                let told = |why| format!("{}: {why}", path.display());
                Some(Agents::from_pem(&next()?).map_err(told)?)
            }
        };
        Ok(Loaded { certificates, agents })
    }

    /// Looks at them for ever, and hands over what is new and sound. What is not sound is told once, and the old stays.
    pub(super) async fn watch(mut self, take_over: impl Fn(Loaded)) {
        if self.paths().next().is_none() {
            std::future::pending::<()>().await;
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
                Some(Ok(loaded)) => {
                    take_over(loaded);
                    tracing::info!(
                        "the certificate files have changed; new connections get the new ones"
                    );
                }
                Some(Err(why)) => {
                    tracing::error!(why, "the new certificate is not used, the old one stays");
                }
            }
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]).chain(&self.agent_ca)
    }

    fn read(&self) -> Vec<Content> {
        self.paths().map(|path| read(path)).collect()
    }
}

fn read(path: &Path) -> Content {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if std::fs::metadata(path).map_err(told)?.len() > FILE_MAX {
        return Err(format!("{}: above {FILE_MAX} bytes", path.display()));
    }
    std::fs::read(path).map_err(told)
}

fn digest(contents: &[Content]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    for content in contents {
        let bytes = content.as_deref().unwrap_or_else(|why| why.as_bytes());
        digest.update(&(bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    }
    digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
