//! What an idle agent's line costs the relay in memory, beside a WebSocket server that does nothing else.

use std::process::Stdio;

use futures_util::StreamExt;
use relay_tests::cost;
use relay_tests::process::Process;
use relay_tests::relay::Relay;
use relay_tests::wait::soon;
use relay_tests::wire::{ByHand, hello};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{accept_async_with_config, client_async};

/// Set when this program is to be the WebSocket server.
pub(crate) const BARE: &str = "BENCH_BARE_WEBSOCKETS";

/// How many idle lines there are.
const LINES: usize = 2000;

/// How many lines there are before the first look: what the first ones need is needed once.
const FIRST: usize = 100;

/// The read buffer of the bare WebSockets, in bytes.
const READ_BUFFER: usize = 4096;

pub(crate) async fn compare() {
    println!("\n## memory of an idle line, {LINES} of them\n");
    println!("relay           {:>6.0} bytes", relay().await);
    println!("bare WebSocket  {:>6.0} bytes, with a read buffer of {READ_BUFFER}", bare().await);
}

async fn relay() -> f64 {
    let mut relay = Relay::program(&[]).await;
    relay.endpoint("idle").await;
    let token = relay.token(&["idle"]).await;
    let (mut lines, process) = (Vec::new(), relay.process().id());
    let mut memory = 0;
    for n in 0..FIRST + LINES {
        if n == FIRST {
            memory = cost::memory(process);
        }
        let (line, _) =
            ByHand::live(relay.address, &token, hello(&format!("idle-{n}"), &["idle"])).await;
        lines.push(line);
    }
    (cost::memory(process).saturating_sub(memory)) as f64 / LINES as f64
}

async fn bare() -> f64 {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.env(BARE, "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(command.kill_on_drop(true));
    let ready = process.event("ready").await;
    let address = ready["address"].as_str().expect("an address").to_owned();
    let (mut lines, mut memory) = (Vec::new(), 0);
    for n in 0..FIRST + LINES {
        if n == FIRST {
            memory = cost::memory(process.id());
        }
        let socket = TcpStream::connect(&address).await.expect("it listens");
        let opened = soon("the upgrade", client_async(format!("ws://{address}/"), socket)).await;
        lines.push(opened.expect("a WebSocket"));
    }
    (cost::memory(process.id()).saturating_sub(memory)) as f64 / LINES as f64
}

/// Accepts WebSockets until it is killed.
pub(crate) async fn serve_bare() {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = door.local_addr().expect("an address").to_string();
    println!("{}", json!({"event": "ready", "address": address}));
    loop {
        let (socket, _) = door.accept().await.expect("a connection");
        tokio::spawn(async move {
            let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
            let mut socket =
                accept_async_with_config(socket, Some(config)).await.expect("a WebSocket");
            while socket.next().await.is_some() {}
        });
    }
}
