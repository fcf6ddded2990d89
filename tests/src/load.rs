//! Many senders on one thread, cheap enough to measure others with: raw HTTP/1.1, one system call each way.
//!
//! It knows an address and the bytes to send; whether a relay or a bare target answers is the same to it.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::cost;

/// How long an answer may take until the wait for it is given up, so that a dead peer ends a round.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much is read at once; an answer here is far smaller.
const READ: usize = 16 * 1024;

/// What is sent, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// To whom.
    pub to: SocketAddr,
    /// One whole request.
    pub request: Vec<u8>,
    /// How many senders, each with one request at a time.
    pub senders: usize,
    /// Whether each request has a connection of its own.
    pub fresh: bool,
    /// How long is measured, after a tenth of it to warm up.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    /// Answered with a 2xx.
    pub answered: usize,
    /// Answered otherwise, or not at all.
    pub failed: usize,
    /// How long it took.
    pub took: Duration,
    /// How long the senders' thread was busy.
    pub busy: Duration,
    /// How long each answer took in microseconds, in order of length.
    micros: Vec<u32>,
}

impl Measured {
    /// Answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// How long this share of the answers took at the most, in milliseconds.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.micros.get(at).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }
}

/// A POST of this many bytes to a path.
#[must_use]
pub fn post(to: SocketAddr, path: &str, length: usize, fresh: bool) -> Vec<u8> {
    let close = if fresh { "connection: close\r\n" } else { "" };
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\nuser-agent: a-provider/1\r\n\
         content-type: application/json\r\n{close}content-length: {length}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.resize(request.len() + length, b'x');
    request
}

/// Where the HTTP message at the beginning of these bytes ends, if all of it is there.
#[must_use]
pub fn message_end(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    for line in bytes[..head].split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if line[..colon].eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(&line[colon + 1..]).ok()?;
            let end = head + value.trim().parse::<usize>().ok()?;
            return (bytes.len() >= end).then_some(end);
        }
        if line[..colon].eq_ignore_ascii_case(b"transfer-encoding") {
            let last = bytes[head..].windows(5).position(|five| five == b"0\r\n\r\n")?;
            return Some(head + last + 5);
        }
    }
    Some(head)
}

struct Sender {
    socket: TcpStream,
    /// Whether the request has left.
    sent: bool,
    since: Instant,
    heard: Vec<u8>,
}

enum Progress {
    Waiting,
    Answered,
    Failed,
}

impl Load {
    /// Sends until the time is over. Blocking: give it a thread.
    ///
    /// # Panics
    /// When the system has no sockets.
    #[must_use]
    pub fn run(&self) -> Measured {
        let mut poll = Poll::new().expect("a poll");
        let mut events = Events::with_capacity(1024);
        let mut senders: Vec<Sender> = (0..self.senders).map(|n| self.open(&poll, n)).collect();
        let mut buffer = vec![0; READ];
        let (mut micros, mut failed) = (Vec::with_capacity(1 << 18), 0);
        let begun = Instant::now();
        let warm = begun + self.time / 10;
        let until = warm + self.time;
        let mut cpu_before = None;
        loop {
            poll.poll(&mut events, Some(PATIENCE)).expect("events");
            let now = Instant::now();
            if now >= until || events.is_empty() {
                failed += if events.is_empty() { self.senders } else { 0 };
                break;
            }
            if cpu_before.is_none() && now >= warm {
                cpu_before = Some(cost::cpu_of_this_thread());
            }
            for event in &events {
                let n = event.token().0;
                let progress = senders[n].go_on(&self.request, &mut buffer);
                let counts = cpu_before.is_some();
                match progress {
                    Progress::Waiting => continue,
                    Progress::Answered if counts => {
                        let took = senders[n].since.elapsed().as_micros();
                        micros.push(u32::try_from(took).unwrap_or(u32::MAX));
                    }
                    Progress::Failed if counts => failed += 1,
                    Progress::Answered | Progress::Failed => {}
                }
                if self.fresh || matches!(progress, Progress::Failed) {
                    senders[n] = self.open(&poll, n);
                } else {
                    senders[n].again(&self.request);
                }
            }
        }
        let busy = cost::cpu_of_this_thread() - cpu_before.unwrap_or_else(cost::cpu_of_this_thread);
        micros.sort_unstable();
        Measured { answered: micros.len(), failed, took: warm.elapsed(), busy, micros }
    }

    fn open(&self, poll: &Poll, n: usize) -> Sender {
        let since = Instant::now();
        let mut socket = TcpStream::connect(self.to).expect("a socket");
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, Token(n), both).expect("a place in the poll");
        let _ = socket.set_nodelay(true);
        let mut sender = Sender { socket, sent: false, since, heard: Vec::new() };
        sender.send(&self.request);
        sender
    }
}

impl Sender {
    fn again(&mut self, request: &[u8]) {
        (self.since, self.sent) = (Instant::now(), false);
        self.heard.clear();
        self.send(request);
    }

    /// Over loopback a request of a few KiB leaves at once or, while the connection is being made, not at all.
    fn send(&mut self, request: &[u8]) -> bool {
        match self.socket.write(request) {
            Ok(length) => {
                self.sent = true;
                length == request.len()
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected),
        }
    }

    fn go_on(&mut self, request: &[u8], buffer: &mut [u8]) -> Progress {
        if !self.sent && !self.send(request) {
            return Progress::Failed;
        }
        match self.socket.read(buffer) {
            Ok(0) => Progress::Failed,
            Ok(length) => {
                self.heard.extend_from_slice(&buffer[..length]);
                match message_end(&self.heard) {
                    None => Progress::Waiting,
                    Some(_) if self.heard.starts_with(b"HTTP/1.1 2") => Progress::Answered,
                    Some(_) => Progress::Failed,
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Progress::Waiting,
            Err(error) if error.kind() == ErrorKind::NotConnected => Progress::Waiting,
            Err(_) => Progress::Failed,
        }
    }
}
