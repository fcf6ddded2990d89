//! Those who are measured: each as the program that people run, between the senders and the same target.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use relay_tests::fast_target;
use relay_tests::folder::Folder;
use relay_tests::load::{Load, post};
use relay_tests::process::{Process, Program};
use relay_tests::relay::Relay;
use rustix::process::Signal;
use tokio::process::Command;

/// One way to the target.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) to: SocketAddr,
    pub(crate) path: String,
    /// The programs on the way.
    pub(crate) processes: Vec<u32>,
    /// Whether the work is done by children of theirs.
    pub(crate) has_children: bool,
}

/// All of them, and what keeps them running.
pub(crate) struct Peers {
    pub(crate) all: Vec<Peer>,
    _programs: Vec<Orderly>,
    _relay: Relay,
    _folder: Folder,
}

/// A program that is asked to end: killed, nginx would leave its workers behind.
struct Orderly(Process);

impl Drop for Orderly {
    fn drop(&mut self) {
        self.0.signal(Signal::TERM);
    }
}

impl Peers {
    pub(crate) async fn start() -> Self {
        let (target, folder) = (fast_target::start(), Folder::fresh());
        let direct = Peer {
            name: "direct",
            to: target,
            path: "/".into(),
            processes: Vec::new(),
            has_children: false,
        };
        let (mut all, mut programs) = (vec![direct], Vec::new());
        for (peer, started) in
            [nginx(target, &folder), rathole(target, &folder)].into_iter().flatten()
        {
            all.push(peer);
            programs.extend(started.into_iter().map(Orderly));
        }
        let (relay, peers, agent) = relay(target, &folder).await;
        all.extend(peers);
        programs.push(Orderly(agent));
        for peer in &all {
            ready(peer).await;
        }
        Self { all, _programs: programs, _relay: relay, _folder: folder }
    }
}

/// Asks until an answer comes.
async fn ready(peer: &Peer) {
    let request = post(peer.to, &peer.path, 2, true);
    let time = Duration::from_millis(50);
    let load = Load { to: peer.to, request, senders: 1, fresh: true, time };
    for _ in 0..100 {
        let load = load.clone();
        let measured = tokio::task::spawn_blocking(move || load.run()).await.expect("no panic");
        if measured.answered > 0 {
            return;
        }
    }
    panic!("{} does not answer", peer.name);
}

/// A port that is free now; nginx and rathole cannot say which one they took.
fn free_port() -> SocketAddr {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    taken.local_addr().expect("an address")
}

/// The program at the path that the variable names, or on `PATH`.
fn found(program: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    let found = places.find(|place| place.is_file());
    if found.is_none() {
        println!("{program} is left out: it is not on PATH, and {variable} names none");
    }
    found
}

fn start(mut command: Command) -> Process {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Process::start(&mut command)
}

fn nginx(target: SocketAddr, folder: &Folder) -> Option<(Peer, Vec<Process>)> {
    let program = found("nginx", "BENCH_NGINX")?;
    let (to, here) = (free_port(), folder.path().display());
    let config = format!(
        "daemon off; worker_processes auto; pid {here}/nginx.pid; error_log stderr error;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; keepalive_requests 100000000; tcp_nodelay on;
           client_body_temp_path {here}/nb; proxy_temp_path {here}/np; fastcgi_temp_path {here}/nf;
           uwsgi_temp_path {here}/nu; scgi_temp_path {here}/ns;
           upstream target {{ server {target}; keepalive 256; keepalive_requests 100000000; }}
           server {{
             listen {to} backlog=4096;
             location / {{
               proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection '';
             }}
           }}
         }}"
    );
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-e").arg("stderr");
    command.arg("-c").arg(folder.file("nginx.conf", &config));
    let process = start(command);
    let processes = vec![process.id()];
    let peer = Peer { name: "nginx", to, path: "/".into(), processes, has_children: true };
    Some((peer, vec![process]))
}

fn rathole(target: SocketAddr, folder: &Folder) -> Option<(Peer, Vec<Process>)> {
    let program = found("rathole", "BENCH_RATHOLE")?;
    let (control, to) = (free_port(), free_port());
    let token = "default_token = \"bench\"";
    let server = format!(
        "[server]\nbind_addr = \"{control}\"\n{token}\n[server.services.bench]\nbind_addr = \"{to}\"\n"
    );
    let client = format!(
        "[client]\nremote_addr = \"{control}\"\n{token}\n[client.services.bench]\nlocal_addr = \"{target}\"\n"
    );
    let run = |side: &str, config: &str| {
        let mut command = Command::new(&program);
        command.arg(side).arg(folder.file(&format!("rathole{side}.toml"), config));
        command.env("RUST_LOG", "error");
        start(command)
    };
    let both = vec![run("--server", &server), run("--client", &client)];
    let processes = both.iter().map(Process::id).collect();
    let peer = Peer { name: "rathole", to, path: "/".into(), processes, has_children: false };
    Some((peer, both))
}

/// One relay and one agent with two endpoints: one that is recorded, and one that is not.
async fn relay(target: SocketAddr, folder: &Folder) -> (Relay, Vec<Peer>, Process) {
    let settings = std::env::var("BENCH_SETTINGS").unwrap_or_default();
    let settings: Vec<_> =
        settings.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    let mut relay = Relay::program(&settings).await;
    let off = relay.endpoint_with("off", &[("capture", "none")]).await;
    let on = relay.endpoint_with("on", &[("capture", "full")]).await;
    let token = folder.file("token", &relay.token(&["off", "on"]).await);
    let config = format!(
        "relay = \"{}\"\ntoken_file = \"{}\"\n\
         [[endpoint]]\nname = \"off\"\ntarget = \"http://{target}\"\n\
         [[endpoint]]\nname = \"on\"\ntarget = \"http://{target}\"\n",
        relay.url(),
        token.display()
    );
    let mut command = Program::Client.command();
    command.arg("run").arg("--quiet").arg("--config").arg(folder.file("agent.toml", &config));
    let mut agent = start(command);
    agent.event("ready").await;
    let processes = vec![relay.process().id(), agent.id()];
    let peer = |name, endpoint: &relay_tests::relay::Endpoint| Peer {
        name,
        to: relay.address,
        path: endpoint.path.clone(),
        processes: processes.clone(),
        has_children: false,
    };
    let peers = vec![peer("relay", &off), peer("relay, record", &on)];
    (relay, peers, agent)
}
