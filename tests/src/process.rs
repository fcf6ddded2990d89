//! The real programs, started as people start them; killed by their own id when the story is over.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::wait::soon;

/// Which program.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    /// `relay-server`
    Server,
    /// `relay-client`
    Client,
}

impl Program {
    /// The command line of it, without what the environment of the tests might say.
    ///
    /// # Panics
    /// When the programs cannot be built.
    #[must_use]
    pub fn command(self) -> Command {
        self.command_under(&[])
    }

    /// The command line of it when another program starts it, such as a tracer: that one with its arguments comes first.
    ///
    /// # Panics
    /// When the programs cannot be built.
    #[must_use]
    pub fn command_under(self, starter: &[String]) -> Command {
        let program = built().join(match self {
            Self::Server => "relay-server",
            Self::Client => "relay-client",
        });
        let mut command = match starter {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        let ours = |name: &str| {
            name.starts_with("RELAY_") || name.to_ascii_lowercase().ends_with("_proxy")
        };
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

/// Where the programs are, as new as their sources: cargo does not build them for another package's tests.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().expect("a path");
        // A test lies in target/<profile>/deps, a program of the tests in target/<profile>.
        let folder = own.parent().expect("a folder");
        let folder =
            if folder.ends_with("deps") { folder.parent().expect("its profile") } else { folder };
        let folder = folder.to_path_buf();
        let mut cargo = std::process::Command::new(env!("CARGO"));
        // What cargo tells a test of its package would have some libraries built anew, each time.
        let told =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars().filter(|(name, _)| told(name)) {
            cargo.env_remove(name);
        }
        cargo.args(["build", "--bins", "--manifest-path"]);
        cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        if folder.ends_with("release") {
            // What is measured is built as people build it, without the features that the tests ask of its libraries. It may
            // take minutes, so that cargo tells what it does.
            cargo.args(["--release", "--package", "relay-server", "--package", "relay-client"]);
        } else {
            cargo.args(["--quiet", "--workspace"]);
        }
        assert!(cargo.status().expect("cargo runs").success(), "the programs are built");
        folder
    })
}

/// How a program has ended, and all that it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a program to its end.
///
/// # Panics
/// When it does not end.
pub async fn run(command: &mut Command) -> Ended {
    let output = soon("the program ends", command.output()).await.expect("the program starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program under way.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Arc<Mutex<String>>,
    listening: JoinHandle<()>,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let stderr = Arc::<Mutex<String>>::default();
        let listening = listen(child.stderr.take().expect("a pipe"), Arc::clone(&stderr));
        Self { child, stdout, stderr, listening }
    }

    /// The next line of its standard output; `None` when it has ended.
    ///
    /// # Panics
    /// When it says nothing for too long.
    pub async fn line(&mut self) -> Option<String> {
        soon("the program says something", self.stdout.next_line()).await.expect("text")
    }

    /// The next JSON line with this `event`; others are let go.
    ///
    /// # Panics
    /// When there is none.
    pub async fn event(&mut self, event: &str) -> Value {
        let found = self.try_event(event).await;
        found.unwrap_or_else(|| panic!("it ended before {event}: {}", self.said()))
    }

    /// The next JSON line with this `event`, unless it ends before; others are let go.
    ///
    /// # Panics
    /// When it says something else than JSON.
    pub async fn try_event(&mut self, event: &str) -> Option<Value> {
        loop {
            let line = self.line().await?;
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if value["event"] == event {
                return Some(value);
            }
        }
    }

    /// What it has said on standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its id.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(id, signal).expect("it takes signals");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = soon("the program ends", self.child.wait()).await.expect("it was started");
        soon("its last words", &mut self.listening).await.expect("they are text");
        status
    }

    /// Waits for its end this long at the most, and says whether it came.
    pub async fn ends_within(&mut self, time: Duration) -> bool {
        timeout(time, self.child.wait()).await.is_ok()
    }

    /// Kills it, as a power cut would.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }
}

fn listen(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    into: Arc<Mutex<String>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..length]);
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    })
}

/// A program at a terminal: what it would show a person.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    lines: mpsc::Receiver<String>,
}

/// How many lines may wait to be read.
const LINES_MAX: usize = 1024;

impl Terminal {
    /// Starts it with a terminal for its standard output.
    ///
    /// # Panics
    /// When the system has no terminal to give.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&near).expect("it is ours");
        unlockpt(&near).expect("it is open");
        let name = ptsname(&near, Vec::new()).expect("it has a name");
        let name = Path::new(name.to_str().expect("a path")).to_path_buf();
        let far =
            std::fs::OpenOptions::new().read(true).write(true).open(name).expect("a terminal");
        let child = command.stdout(far).env("NO_COLOR", "1").spawn().expect("the program starts");
        // The command keeps the far end open until it is told otherwise.
        command.stdout(Stdio::null());
        let (told, lines) = mpsc::channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(std::fs::File::from(near)).split(b'\n') {
                // The terminal itself ends lines with \r\n.
                let Ok(line) = line else { return };
                let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line));
                if told.blocking_send(text.into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line for which this holds; others are let go.
    ///
    /// # Panics
    /// When there is none.
    pub async fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        soon("the terminal shows it", async {
            loop {
                let line = self.lines.recv().await.expect("the program runs");
                if wanted(&line) {
                    return line;
                }
            }
        })
        .await
    }

    /// Kills the program.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }
}
