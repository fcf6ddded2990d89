//! A real ACME server, Debian's `pebble`, which finds every name on this machine.

use std::path::PathBuf;
use std::process::Stdio;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::authority::Authority;
use crate::http2::Caller;
use crate::place::Place;
use crate::raw::Written;
use crate::wait::until;

/// One that runs.
#[derive(Debug)]
pub struct Pebble {
    authority: Authority,
    directory: Place,
    management: Place,
    log: PathBuf,
    _names: [Place; 2],
    _programs: [Child; 2],
}

/// Where it looks, and what it hands out.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// The port of HTTP-01.
    pub http: u16,
    /// The port of TLS-ALPN-01.
    pub tls: u16,
    /// How long its certificates hold, in seconds.
    pub validity: u64,
}

impl Pebble {
    /// Starts it; `None`, with a word, where it is not installed.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(story: &str, looks: Looks) -> Option<Self> {
        let authority = Authority::fresh();
        let [directory, management, names, odd] = std::array::from_fn(|_| Place::fresh());
        let leaf = authority.issue("pebble", &["localhost", "127.0.0.1"]);
        let config = json!({"pebble": {
            "listenAddress": directory.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": leaf.certificate,
            "privateKey": leaf.key,
            "httpPort": looks.http,
            "tlsPort": looks.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": looks.validity,
        }});
        let config = authority.file("pebble.json", &config.to_string());
        let log = authority.file("pebble.log", "");
        let mut resolver = quiet("pebble-challtestsrv");
        resolver.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        resolver.arg("-dns01").arg(names.to_string());
        resolver.arg("-management").arg(odd.to_string());
        let mut pebble = quiet("pebble");
        pebble.arg("-config").arg(config).arg("-dnsserver").arg(names.to_string());
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        // What it refuses by chance is sent again, and could not be counted.
        pebble.env("PEBBLE_WFE_NONCEREJECT", "0");
        // Written to a file, for a pipe would have to be read.
        pebble.stdout(std::fs::File::create(&log).expect("a log"));
        let (Ok(resolver), Ok(pebble)) = (resolver.spawn(), pebble.spawn()) else {
            eprintln!("skipped, pebble is not installed: {story}");
            return None;
        };
        for place in [&directory, &management] {
            let there = async || TcpStream::connect(place.address()).await.is_ok();
            until("pebble listens", there).await;
        }
        let (_names, _programs) = ([names, odd], [resolver, pebble]);
        Some(Self { authority, directory, management, log, _names, _programs })
    }

    /// The settings of a relay that orders there, for these names.
    #[must_use]
    pub fn settings(&self, names: &str) -> Vec<(String, String)> {
        let ca_file = self.authority.ca_file().display().to_string();
        let directory = format!("https://localhost:{}/dir", self.directory.port());
        [
            ("acme_domain", names.to_owned()),
            ("acme_email", "somebody@example.com".to_owned()),
            ("acme_directory", directory),
            ("acme_ca_file", ca_file),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// The root of what it hands out.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn root(&self) -> CertificateDer<'static> {
        let caller = Caller::of(&self.authority, &["http/1.1"]);
        let mut connection = caller.speaks(self.management.address()).await;
        let request = Written::request("GET", "/roots/0").field("Host", "localhost");
        connection.send(request.bytes()).await;
        let answer = connection.answer_to("GET").await;
        CertificateDer::from_pem_slice(&answer.body).expect("a root")
    }

    /// How many orders it was given.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.count("POST /order-plz")
    }

    /// How many accounts it was asked for.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.count("POST /sign-me-up")
    }

    /// How often its log has these words.
    ///
    /// # Panics
    /// When there is no log.
    #[must_use]
    pub fn count(&self, words: &str) -> usize {
        std::fs::read_to_string(&self.log).expect("a log").matches(words).count()
    }
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}
