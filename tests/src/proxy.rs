//! Real proxies between an agent and its relay: Debian's tinyproxy, squid, microsocks and dante, each on a port of its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::folder::Folder;
use crate::place::Place;
use crate::process::Process;
use crate::wait::until;

/// A proxy that runs.
#[derive(Debug)]
pub struct Proxy {
    place: Place,
    program: Process,
    folder: Folder,
}

impl Proxy {
    /// tinyproxy, with these further lines in its configuration. None, with a word, where it is not installed.
    pub async fn tinyproxy(story: &str, more: &str) -> Option<Self> {
        Self::start(story, "tinyproxy", |port, folder| {
            let log = folder.path().join("log");
            let text = format!(
                "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 20\nLogLevel Connect\nLogFile \"{}\"\n{more}\n",
                log.display()
            );
            let config = folder.file("tinyproxy.conf", &text);
            vec!["-d".into(), "-c".into(), config.display().to_string()]
        })
        .await
    }

    /// squid, with these rules of access; `%FOLDER%` is a folder of its own. None, with a word, where it is not installed.
    pub async fn squid(story: &str, rules: &str) -> Option<Self> {
        Self::start(story, "squid", |port, folder| {
            let place = folder.path().display().to_string();
            let text = format!(
                "http_port 127.0.0.1:{port}\npid_filename none\naccess_log stdio:{place}/log\n\
                 cache_log {place}/cache.log\ncache deny all\ncoredump_dir {place}\nshutdown_lifetime 0 seconds\n\
                 visible_hostname story\nnetdb_filename none\n{}\n",
                rules.replace("%FOLDER%", &place)
            );
            let config = folder.file("squid.conf", &text);
            // It gives root's rights away before it writes its logs.
            folder.open_to_all();
            vec!["-N".into(), "-f".into(), config.display().to_string()]
        })
        .await
    }

    /// microsocks, for this user with this password, or for everybody. None, with a word, where it is not installed.
    pub async fn microsocks(story: &str, login: Option<(&str, &str)>) -> Option<Self> {
        Self::start(story, "microsocks", |port, _| {
            let mut arguments: Vec<String> = ["-i", "127.0.0.1", "-p"].map(str::to_owned).into();
            arguments.push(port.to_string());
            if let Some((user, password)) = login {
                arguments.extend(["-u", user, "-P", password].map(str::to_owned));
            }
            arguments
        })
        .await
    }

    /// dante, which lets nobody go to these. None, with a word, where it is not installed.
    pub async fn dante(story: &str, blocked: &str) -> Option<Self> {
        Self::start(story, "danted", |port, folder| {
            let text = format!(
                "logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\nsocksmethod: none\n\
                 clientmethod: none\nuser.unprivileged: nobody\n\
                 client pass {{ from: 0/0 to: 0/0 }}\n\
                 socks block {{ from: 0/0 to: {blocked} log: connect }}\n\
                 socks pass {{ from: 0/0 to: 0/0 log: connect }}\n"
            );
            let config = folder.file("danted.conf", &text);
            vec!["-f".into(), config.display().to_string()]
        })
        .await
    }

    async fn start(
        story: &str,
        name: &str,
        arguments: impl Fn(u16, &Folder) -> Vec<String>,
    ) -> Option<Self> {
        if !is_installed(name) {
            eprintln!("skipped, {name} is not installed: {story}");
            return None;
        }
        // These programs take no port 0.
        let (place, folder) = (Place::fresh(), Folder::fresh());
        let mut command = Command::new(name);
        command.args(arguments(place.port(), &folder)).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = Process::start(&mut command);
        let there = async || TcpStream::connect(place.address()).await.is_ok();
        while !program.ends_within(Duration::from_millis(20)).await {
            if there().await {
                return Some(Self { place, program, folder });
            }
        }
        panic!("{name} has ended at once: {}", program.said())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.place.address()
    }

    /// Its URL with this scheme, and with `user:password@` perhaps.
    #[must_use]
    pub fn url(&self, scheme_and_login: &str) -> String {
        format!("{scheme_and_login}{}", self.place)
    }

    /// Its folder.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Waits until its log tells of this.
    ///
    /// # Panics
    /// When it never does.
    pub async fn tells_of(&self, what: &str) {
        until(&format!("the proxy tells of {what}"), async || self.log().contains(what)).await;
    }

    /// Waits until its log has told of this so many times.
    ///
    /// # Panics
    /// When it never has.
    pub async fn tells_often_of(&self, what: &str, times: usize) {
        let told = async || self.log().matches(what).count() >= times;
        until(&format!("the proxy tells {times} times of {what}"), told).await;
    }

    fn log(&self) -> String {
        let file = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        format!("{file}{}", self.program.said())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Killed, some of them would leave their workers behind.
        self.program.signal(Signal::TERM);
    }
}

/// Whether a program of the system is there.
#[must_use]
pub fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
