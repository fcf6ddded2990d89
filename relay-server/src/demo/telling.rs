//! What people see of the demo, or programs: numbered steps on a terminal, JSON lines elsewhere.

use std::cell::Cell;
use std::io::{self, Write};

use relay_client::notice::Notice;
use relay_client::screen::{Style, show};
use serde_json::json;
use tokio::sync::mpsc;

/// Tells the journey.
pub(super) struct Telling {
    style: Style,
    steps: Cell<u32>,
}

impl Telling {
    /// As suits standard output.
    pub(super) fn for_stdout() -> Self {
        Self { style: Style::for_stdout(false), steps: Cell::new(0) }
    }

    /// One step: who does what.
    pub(super) fn step(&self, who: &str, what: &str) -> io::Result<()> {
        let step = self.steps.get() + 1;
        self.steps.set(step);
        let mut out = io::stdout().lock();
        match self.style {
            Style::Json => {
                let line = json!({"event": "step", "step": step, "who": who, "what": what});
                writeln!(out, "{line}")?;
            }
            Style::Lines { .. } => writeln!(out, "{step:>2}  {who:<9} {what}")?,
        }
        out.flush()
    }

    /// What to do next.
    pub(super) fn invite(&self, relay: &str, url: &str, curl: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.style {
            Style::Json => {
                let line = json!({"event": "ready", "url": relay, "public_url": url, "curl": curl});
                writeln!(out, "{line}")?;
            }
            Style::Lines { .. } => {
                writeln!(
                    out,
                    "\nThe public URL; whatever stands behind it reaches the receiver:\n"
                )?;
                writeln!(out, "{url}\n")?;
                writeln!(out, "Try it. Change the body, and the receiver's own 401 comes back:\n")?;
                writeln!(out, "{curl}\n")?;
                writeln!(out, "Ctrl-C ends the demo.\n")?;
            }
        }
        out.flush()
    }

    /// Shows what the agent does from now on, until it ends. Blocking: give it a thread.
    pub(super) fn follow(self, notices: mpsc::Receiver<Notice>) -> io::Result<()> {
        show(self.style, notices)
    }
}
