//! What a person sees of an agent, or a program: two-arrow lines on a terminal, JSON lines elsewhere.
//!
//! Strings that come from outside are stripped of control characters: a webhook must not move anybody's cursor.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::sync::mpsc;

use crate::notice::{Attempt, Notice};

/// How notices are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Lines {
        /// With colours.
        colour: bool,
    },
    /// For programs.
    Json,
}

impl Style {
    /// What suits standard output; `json` asks for JSON lines on a terminal too.
    #[must_use]
    pub fn for_stdout(json: bool) -> Self {
        if json || !io::stdout().is_terminal() {
            return Self::Json;
        }
        Self::Lines { colour: std::env::var_os("NO_COLOR").is_none() }
    }
}

/// Shows notices until there are no more. Blocking: give it a thread.
///
/// # Errors
/// When standard output does not take them.
pub fn show(style: Style, mut notices: mpsc::Receiver<Notice>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout());
    while let Some(notice) = notices.blocking_recv() {
        write(&mut out, style, &notice)?;
        // What has come together is written together.
        while let Ok(notice) = notices.try_recv() {
            write(&mut out, style, &notice)?;
        }
        out.flush()?;
    }
    Ok(())
}

fn write(out: &mut BufWriter<Stdout>, style: Style, notice: &Notice) -> io::Result<()> {
    match style {
        Style::Json => json_line(notice).map_or(Ok(()), |line| writeln!(out, "{line}")),
        Style::Lines { colour } => {
            let text = lines(notice, colour);
            if text.is_empty() { Ok(()) } else { writeln!(out, "{text}") }
        }
    }
}

fn json_line(notice: &Notice) -> Option<String> {
    let value = match notice {
        Notice::Ready { served, target } => json!({
            "event": "ready", "endpoint": served.endpoint, "group": served.group, "url": served.url,
            "target": target, "backlog": served.backlog, "oldest_ms": served.oldest_ms, "held": served.held,
        }),
        Notice::Done { attempt, result, took } => {
            let (status, error) = (result.as_ref().ok(), result.as_ref().err());
            json!({
                "event": "delivery", "id": attempt.event.to_string(), "attempt": attempt.attempt,
                "endpoint": attempt.endpoint, "method": text(&attempt.method), "path": text(&attempt.path),
                "status": status, "error": error, "ms": milliseconds(*took),
            })
        }
        Notice::Disconnected { why, retry_in } => {
            json!({"event": "disconnected", "why": why, "retry_in_ms": retry_in.as_millis() as u64})
        }
        Notice::Reconnected => json!({"event": "reconnected"}),
        Notice::Draining => json!({"event": "draining"}),
        Notice::Started(_) => return None,
    };
    Some(value.to_string())
}

fn lines(notice: &Notice, colour: bool) -> String {
    let paint = |code: &str, text: &str| match colour {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    match notice {
        Notice::Ready { served, target } => {
            let mut text = format!(
                "\nForwarding endpoint {} to {target}. Its public URL:\n\n{}\n",
                served.endpoint,
                clean(&served.url)
            );
            if served.backlog > 0 {
                let held =
                    if served.held { "held back, more than --max-backlog" } else { "coming now" };
                text += &format!(
                    "\n{} events are waiting, the oldest for {} s: {held}\n",
                    served.backlog,
                    served.oldest_ms / 1000
                );
            }
            text
        }
        Notice::Started(attempt) => {
            let Attempt { event, attempt: number, method, path, .. } = attempt;
            let again = if *number > 1 { format!(" (attempt {number})") } else { String::new() };
            let path = text(path);
            let path = if path.is_empty() { "/" } else { &path };
            format!("{} {} {} {path}{again} {event}", time(), paint("36", "-->"), text(method))
        }
        Notice::Done { attempt, result, took } => {
            let (arrow, took) = (paint("36", "<--"), milliseconds(*took));
            let result = match result {
                Ok(status) if *status < 300 => paint("32", &status.to_string()),
                Ok(status) => paint("33", &status.to_string()),
                Err(why) => paint("31", &clean(why)),
            };
            format!("{} {arrow} {result} {took}ms {}", time(), attempt.event)
        }
        Notice::Disconnected { why, retry_in } => {
            let gone = paint("31", "no line to the relay:");
            format!("{} {gone} {}; next try in {:.1} s", time(), clean(why), retry_in.as_secs_f64())
        }
        Notice::Reconnected => format!("{} {}", time(), paint("32", "connected again")),
        Notice::Draining => format!("{} finishing what is under way, taking no more", time()),
    }
}

/// Bytes as text on one line.
fn text(bytes: &[u8]) -> String {
    clean(&String::from_utf8_lossy(bytes))
}

/// Text without what moves a cursor or paints a screen.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The time of day in UTC.
fn time() -> String {
    let seconds =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use relay_protocol::id::EventId;

    fn attempt() -> Attempt {
        Attempt {
            event: EventId::from_bytes([1; 16]),
            attempt: 2,
            endpoint: "a".into(),
            method: Bytes::from_static(b"POST"),
            path: Bytes::from_static(b"/p\x1b[2J\r\nq"),
        }
    }

    #[test]
    fn a_path_cannot_move_the_cursor() {
        let line = lines(&Notice::Started(attempt()), false);
        assert!(
            line.contains("--> POST /p\u{fffd}[2J\u{fffd}\u{fffd}q (attempt 2) evt_"),
            "{line}"
        );
        assert!(!line.chars().any(char::is_control));
    }

    #[test]
    fn programs_get_one_json_object_a_line() {
        let took = Duration::from_micros(12_340);
        let line = json_line(&Notice::Done { attempt: attempt(), result: Ok(204), took }).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["status"].as_u64(), value["ms"].as_f64()), (Some(204), Some(12.3)));
        assert!(!line.contains('\n'));
    }
}
