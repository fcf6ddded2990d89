//! What recording a live event costs the store's thread: CPU time for an event with its outcome, and events a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use relay_server::endpoint::{Key, Settings};
use relay_server::event::{Body, Event, Head, Origin};
use relay_server::store::records::{
    Acceptance, Actor, Attempt, AttemptResult, Lease, NewDelivery, NewEndpoint, Next, Room,
    Settlement, Start,
};
use relay_server::store::{Store, StoreError};

const EVENTS: usize = 200_000;

/// CPU time of the thread of this name, in nanoseconds.
fn cpu(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut all = tasks.map(|task| task.unwrap().path());
    let of = all.find(|task| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
    });
    let stat = std::fs::read_to_string(of.expect("the thread").join("schedstat")).unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn live(event: &Arc<Event>, lease: &Lease) -> Acceptance {
    let (start, order_key, collapse) = (Start::Live(lease.token), None, None);
    let main = NewDelivery { group: lease.group.clone(), start, order_key, collapse };
    let room = Room { events: u64::MAX, bytes: u64::MAX };
    let (event, deliveries) = (Arc::clone(event), vec![main]);
    let (keep_body, dedup, note, replay_of) = (true, None, None, None);
    Acceptance { event, deliveries, keep_body, dedup, room, note, replay_of }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let data = std::env::temp_dir().join(format!("relay-bench-{:x}", fastrand::u64(..)));
    let store = Store::init(&data).unwrap();
    let name: Name = "bench".parse().unwrap();
    let endpoint = NewEndpoint {
        key: Key::random(&name),
        name,
        secrets: Vec::new(),
        created_ms: 0,
        set: Default::default(),
        settings: Settings::default(),
    };
    let endpoint = store.create_endpoint(endpoint, Actor::program("benches")).await.unwrap().id;
    let fields: Fields = [
        (&b"content-type"[..], &b"application/json"[..]),
        (b"host", b"127.0.0.1:19003"),
        (b"user-agent", b"a provider of webhooks/1.0"),
    ]
    .into_iter()
    .collect();
    let body = Bytes::from(vec![b'x'; 1024]);
    let (started, cpu_before) = (Instant::now(), cpu("store"));
    for n in 0..EVENTS {
        let id = EventId::now();
        let head = Head {
            id,
            endpoint,
            method: Bytes::from_static(b"POST"),
            path: Bytes::from_static(b"/path"),
            fields: fields.clone(),
            origin: Origin {
                remote: std::net::IpAddr::from([127, 0, 0, 1]).into(),
                https: false,
                version: "1.1",
            },
            checked: None,
        };
        let event = Event {
            head: Arc::new(head),
            body: Body::Memory(Bytes::copy_from_slice(&body)),
            trailers: Fields::default(),
            held: None,
        };
        let lease = Lease::new(endpoint, id, Name::main());
        let event = Arc::new(event);
        while let Err(StoreError::Overloaded) = store.note(live(&event, &lease)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let result = AttemptResult::Answered {
            status: 200,
            fields: fields.clone(),
            body: Bytes::from_static(b"{\"ok\":true}"),
        };
        let attempt = Attempt { number: 1, started_ms: n as u64, took_ms: 3, result };
        store.settle(Settlement { lease, attempt: Some(attempt), next: Next::Delivered });
    }
    store.flush().await.unwrap();
    let took = started.elapsed().as_secs_f64();
    let cpu = (cpu("store") - cpu_before) as f64 / 1000.0 / EVENTS as f64;
    println!("{:.0} events/s, {cpu:.2} µs of the store's thread per event", EVENTS as f64 / took);
    drop(store);
    std::fs::remove_dir_all(data).unwrap();
}
