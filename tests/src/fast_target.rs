//! A target that costs next to nothing: one thread, one read and one write a request.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

use crate::load::message_end;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";

const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

const UNWELL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

const DOOR: Token = Token(0);

/// How much is read at once.
const READ: usize = 64 * 1024;

/// Starts it, for as long as the process lives, and says where.
///
/// # Panics
/// When the system has no port.
#[must_use]
pub fn start() -> SocketAddr {
    start_moody().0
}

/// How the target is: what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Mood {
    /// 200.
    Well,
    /// 429, and to come back in a second.
    TooMany,
    /// 503.
    Unwell,
}

/// The same with a switch: a [`Mood`] as a number.
///
/// # Panics
/// When the system has no port.
#[must_use]
pub fn start_moody() -> (SocketAddr, Arc<AtomicU16>) {
    let mood = Arc::<AtomicU16>::default();
    let (door, mine) = (listen(), Arc::clone(&mood));
    let address = door.local_addr().expect("an address");
    let poll = Poll::new().expect("a poll");
    let mut door = door;
    poll.registry().register(&mut door, DOOR, Interest::READABLE).expect("a place in the poll");
    let serving = std::thread::Builder::new().name("target".into());
    serving.spawn(move || serve(poll, &door, &mine)).expect("a thread");
    (address, mood)
}

fn listen() -> TcpListener {
    TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port")
}

fn answer_in(mood: u16) -> &'static [u8] {
    match mood {
        1 => TOO_MANY,
        2 => UNWELL,
        _ => ANSWER,
    }
}

struct Caller {
    socket: TcpStream,
    heard: Vec<u8>,
}

fn serve(mut poll: Poll, door: &TcpListener, mood: &AtomicU16) {
    let (mut callers, mut next) = (HashMap::new(), 1);
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; READ]);
    loop {
        if poll.poll(&mut events, None).is_err() {
            continue;
        }
        for event in &events {
            if event.token() == DOOR {
                accept(door, poll.registry(), &mut callers, &mut next);
                continue;
            }
            let token = event.token().0;
            let stays = callers.get_mut(&token).is_some_and(|caller| {
                answer(caller, &mut buffer, answer_in(mood.load(Ordering::Relaxed)))
            });
            if !stays {
                callers.remove(&token);
            }
        }
    }
}

fn accept(
    door: &TcpListener,
    registry: &Registry,
    callers: &mut HashMap<usize, Caller>,
    next: &mut usize,
) {
    while let Ok((mut socket, _)) = door.accept() {
        let _ = socket.set_nodelay(true);
        let place = registry.register(&mut socket, Token(*next), Interest::READABLE);
        place.expect("a place in the poll");
        callers.insert(*next, Caller { socket, heard: Vec::new() });
        *next += 1;
    }
}

/// Answers what is whole; says whether the connection stays.
fn answer(caller: &mut Caller, buffer: &mut [u8], said: &[u8]) -> bool {
    loop {
        match caller.socket.read(buffer) {
            Ok(0) => return false,
            Ok(length) => {
                caller.heard.extend_from_slice(&buffer[..length]);
                // All that is there has to be read: what is left over is not announced again.
                if length < buffer.len() {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(_) => return false,
        }
    }
    while let Some(end) = message_end(&caller.heard) {
        let last = asks_to_close(&caller.heard[..end]);
        caller.heard.drain(..end);
        if caller.socket.write(said).is_err() || last {
            return false;
        }
        if caller.heard.is_empty() {
            break;
        }
    }
    true
}

fn asks_to_close(request: &[u8]) -> bool {
    let mut lines = request.split(|byte| *byte == b'\n').take_while(|line| line.len() > 1);
    lines.any(|line| line.to_ascii_lowercase().starts_with(b"connection: close"))
}
