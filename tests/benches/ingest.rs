//! Durable ingest: how many events a second are acknowledged after they are on the disk.
//!
//!     cargo bench -p relay-tests --bench ingest
//!
//! The relay with `reply = ack` over HTTP, beside the same store without HTTP, beside a plain file: all with group commit
//! and the disk asked to confirm each group, on the same disk (`TMPDIR` says which). They take turns; nothing is asserted.
//! `BENCH_ROUNDS` (5) rounds of `BENCH_SECONDS` (2) for each.

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use relay_server::endpoint::{EndpointId, Key, Settings};
use relay_server::event::{Body, Event, Head, Origin};
use relay_server::store::Store;
use relay_server::store::records::{Acceptance, Actor, NewDelivery, NewEndpoint, Room, Start};
use relay_tests::folder::Folder;
use relay_tests::load::{Load, post};
use relay_tests::relay::Relay;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// How many wait for a commit at a time.
const PRODUCERS: usize = 256;

/// The body of each event, in bytes.
const BODY: usize = 1400;

/// What a plain file gets for each event: body, head and a length, about as the store writes.
const ENTRY: usize = BODY + 300;

/// How long all are left alone before each turn.
const PAUSE: Duration = Duration::from_millis(500);

fn number(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rounds = number("BENCH_ROUNDS", 5.0).clamp(1.0, 100.0) as usize;
    let time = Duration::from_secs_f64(number("BENCH_SECONDS", 2.0).clamp(0.2, 30.0));
    let relay = Relay::program(&[]).await;
    println!("{rounds} rounds of {time:?}, {PRODUCERS} at a time, bodies of {BODY} bytes\n");
    let (mut files, mut stores, mut relays) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        files.push(plain_file(time).await);
        stores.push(store(time).await);
        relays.push(over_http(&relay, round, time).await);
        let (file, store) = (files[round], stores[round]);
        match relays[round] {
            Some((rate, p99)) => println!(
                "plain file {file:>7.0}/s   store {store:>7.0}/s   relay {rate:>7.0}/s, p99 {p99:.1} ms, {:.2} x store",
                rate / store
            ),
            None => println!("plain file {file:>7.0}/s   store {store:>7.0}/s   relay: no 2xx"),
        }
    }
    let ratios = relays.iter().zip(&stores).filter_map(|(relay, store)| Some((*relay)?.0 / store));
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (ratios.first(), ratios.last()) {
        println!("\nrelay x store: {:.2} ({least:.2}-{most:.2})", ratios[ratios.len() / 2]);
    }
}

/// Lets as many producers as there are do `one` again and again; gives how often a second that was.
async fn produce(time: Duration, one: impl AsyncFn() + 'static) -> f64 {
    tokio::time::sleep(PAUSE).await;
    let (done, one) = (Rc::new(Cell::new(0_u64)), Rc::new(one));
    let (local, begun) = (LocalSet::new(), Instant::now());
    for _ in 0..PRODUCERS {
        let (done, one) = (done.clone(), one.clone());
        local.spawn_local(async move {
            while begun.elapsed() < time {
                one().await;
                done.set(done.get() + 1);
            }
        });
    }
    local.await;
    done.get() as f64 / begun.elapsed().as_secs_f64()
}

async fn plain_file(time: Duration) -> f64 {
    let folder = Folder::fresh();
    let file = File::create(folder.path().join("log")).expect("a file");
    let (entries, queue) = channel();
    let writer = std::thread::spawn(move || write(file, &queue));
    let rate = produce(time, async move || {
        let (answer, durable) = oneshot::channel();
        entries.send((vec![b'x'; ENTRY], answer)).expect("the writer is there");
        durable.await.expect("it is written");
    });
    let rate = rate.await;
    writer.join().expect("no panic");
    rate
}

type Entry = (Vec<u8>, oneshot::Sender<()>);

/// Writes what has come together, has the disk confirm it, and tells everybody.
fn write(mut file: File, queue: &Receiver<Entry>) {
    let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
    while let Ok(first) = queue.recv() {
        for (entry, answer) in std::iter::once(first).chain(queue.try_iter()) {
            bytes.extend_from_slice(&entry);
            waiting.push(answer);
        }
        file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk takes it");
        bytes.clear();
        for answer in waiting.drain(..) {
            let _ = answer.send(());
        }
    }
}

async fn store(time: Duration) -> f64 {
    let folder = Folder::fresh();
    let store = Arc::new(Store::init(&folder.path().join("store")).expect("a store"));
    let name: Name = "bench".parse().expect("a name");
    let wanted = NewEndpoint {
        key: Key::random(&name),
        name,
        secrets: Vec::new(),
        created_ms: 0,
        set: Default::default(),
        settings: Settings::default(),
    };
    let endpoint =
        store.create_endpoint(wanted, Actor::program("benches")).await.expect("an endpoint").id;
    let body = Bytes::from(vec![b'x'; BODY]);
    produce(time, async move || {
        store.accept(acceptance(endpoint, &body)).await.expect("it is kept");
    })
    .await
}

/// An event as `reply = ack` accepts it.
fn acceptance(endpoint: EndpointId, body: &Bytes) -> Acceptance {
    let fields: Fields = [
        (&b"content-type"[..], &b"application/json"[..]),
        (b"content-length", b"1400"),
        (b"host", b"127.0.0.1:19003"),
        (b"user-agent", b"a-provider/1"),
    ]
    .into_iter()
    .collect();
    let head = Head {
        id: EventId::now(),
        endpoint,
        method: Bytes::from_static(b"POST"),
        path: Bytes::new(),
        fields,
        origin: Origin {
            remote: std::net::IpAddr::from([127, 0, 0, 1]).into(),
            https: false,
            version: "1.1",
        },
        checked: None,
    };
    let event = Event {
        head: Arc::new(head),
        body: Body::Memory(Bytes::copy_from_slice(body)),
        trailers: Fields::default(),
        held: None,
    };
    let main =
        NewDelivery { group: Name::main(), start: Start::Due(0), order_key: None, collapse: None };
    Acceptance {
        event,
        deliveries: vec![main],
        keep_body: true,
        dedup: None,
        room: Room { events: u64::MAX, bytes: u64::MAX },
        note: None,
        replay_of: None,
    }
}

/// Acknowledgements a second and the p99 in milliseconds; none when nothing is acknowledged.
async fn over_http(relay: &Relay, round: usize, time: Duration) -> Option<(f64, f64)> {
    tokio::time::sleep(PAUSE).await;
    let endpoint = relay.endpoint_with(&format!("ack-{round}"), &[("reply", "ack")]).await;
    let request = post(relay.address, &endpoint.path, BODY, false);
    let load = Load { to: relay.address, request, senders: PRODUCERS, fresh: false, time };
    let measured = tokio::task::spawn_blocking(move || load.run()).await.expect("no panic");
    if measured.failed > 0 {
        println!("{} of {} were refused", measured.failed, measured.failed + measured.answered);
    }
    (measured.answered > 0).then(|| (measured.rate(), measured.quantile(0.99)))
}
