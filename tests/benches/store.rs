//! What recording live events costs: CPU time of the store's thread and of who hands over, for an event with its outcome.
//!
//!     cargo bench -p relay-tests --bench store
//!
//! Events of 1 KB, as many a second as a busy relay has, and as fast as the store takes them; beside them the same three
//! inserts with nothing around them, 200 to a commit. They take turns; nothing is asserted. `BENCH_ROUNDS` (3) rounds of
//! `BENCH_SECONDS` (2) for each.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use relay_server::endpoint::EndpointId;
use relay_server::event::{Body, Event, Head, Origin};
use relay_server::store::records::{Attempt, AttemptResult, Lease, Next, Settlement, Start};
use relay_server::store::{Store, StoreError};
use relay_tests::cost::cpu_of_this_thread;
use relay_tests::shelf::{Shelf, accepting};
use rusqlite::{Connection, params};

/// How many events a second a busy relay records.
const BUSY: u32 = 20_000;

/// How many are under way at a time, answered in the order in which they came.
const UNDER_WAY: usize = 32;

/// The body of each event, in bytes.
const BODY: usize = 1024;

/// How many of the bare inserts' events are in one commit: as many as come to a busy relay in 10 ms.
const COMMIT: u64 = 200;

fn number(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let rounds = number("BENCH_ROUNDS", 3.0).clamp(1.0, 100.0) as usize;
    let time = Duration::from_secs_f64(number("BENCH_SECONDS", 2.0).clamp(0.2, 30.0));
    println!("{rounds} rounds of {time:?}, bodies of {BODY} bytes; µs of CPU time for an event\n");
    for _ in 0..rounds {
        let busy = Recorded::at(Some(BUSY), time);
        let fast = Recorded::at(None, time);
        let bare = bare(time);
        println!(
            "{BUSY}/s: store {:.2}, handing over {:.2}   {:.0}/s: store {:.2}, handing over {:.2}   \
             bare inserts {bare:.2}   store x bare {:.2}, {:.2}",
            busy.store,
            busy.giver,
            fast.rate,
            fast.store,
            fast.giver,
            busy.store / bare,
            fast.store / bare
        );
    }
}

/// What recording has cost.
struct Recorded {
    /// Events a second.
    rate: f64,
    /// CPU time of the store's thread, in µs for an event.
    store: f64,
    /// CPU time of making an event's record and handing it over, in µs.
    giver: f64,
}

impl Recorded {
    fn at(rate: Option<u32>, time: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let shelf = runtime.block_on(Shelf::fresh());
        let provider = Provider::new(shelf.endpoint);
        let (begun, before) = (Instant::now(), [cpu_of_the_thread("store"), cpu_of_this_thread()]);
        let (mut under_way, mut n) = (VecDeque::new(), 0_u32);
        while begun.elapsed() < time {
            let due = rate
                .map_or(u32::MAX, |rate| (begun.elapsed().as_secs_f64() * f64::from(rate)) as u32);
            for _ in 0..due.saturating_sub(n).min(UNDER_WAY as u32) {
                under_way.push_back(provider.post(shelf.store()));
                if under_way.len() > UNDER_WAY {
                    under_way
                        .drain(..1)
                        .for_each(|lease| provider.is_answered(shelf.store(), lease));
                }
                n += 1;
            }
            if due <= n {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        under_way.into_iter().for_each(|lease| provider.is_answered(shelf.store(), lease));
        let giver = cpu_of_this_thread() - before[1];
        runtime.block_on(shelf.store().flush()).expect("it is written");
        let store = cpu_of_the_thread("store") - before[0];
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / f64::from(n);
        let rate = f64::from(n) / begun.elapsed().as_secs_f64();
        Self { rate, store: each(store), giver: each(giver) }
    }
}

/// CPU time of the thread of this name.
fn cpu_of_the_thread(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the kernel tells");
    let mut all = tasks.map(|task| task.expect("a thread").path());
    let of = all.find(|task| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
    });
    let stat = std::fs::read_to_string(of.expect("the thread").join("schedstat"));
    let stat = stat.expect("the kernel counts");
    Duration::from_nanos(stat.split(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
}

/// Whose events they are, and what they are answered with.
struct Provider {
    endpoint: EndpointId,
    fields: Fields,
    answer: Fields,
}

impl Provider {
    fn new(endpoint: EndpointId) -> Self {
        let fields: [(&[u8], &[u8]); 4] = [
            (b"content-type", b"application/json"),
            (b"content-length", b"1024"),
            (b"host", b"127.0.0.1:19003"),
            (b"user-agent", b"a provider of webhooks/1.0"),
        ];
        let answer: [(&[u8], &[u8]); 3] = [
            (b"content-type", b"application/json"),
            (b"content-length", b"11"),
            (b"date", b"Tue, 24 Nov 2026 20:19:10 GMT"),
        ];
        Self {
            endpoint,
            fields: fields.into_iter().collect(),
            answer: answer.into_iter().collect(),
        }
    }

    /// Hands over an event, as one that comes over HTTP; everything of it is its own.
    fn post(&self, store: &Store) -> Lease {
        loop {
            let event = self.event(store.new_id());
            let lease = Lease::new(self.endpoint, event.head.id, Name::main());
            match store.note(accepting(event, Start::Live(lease.token))) {
                Ok(()) => return lease,
                Err(StoreError::Overloaded) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("the store has failed: {error}"),
            }
        }
    }

    fn event(&self, id: EventId) -> Event {
        let head = Head {
            id,
            endpoint: self.endpoint,
            method: Bytes::from_static(b"POST"),
            path: Bytes::from_static(b"/path"),
            fields: copy(&self.fields),
            origin: Origin {
                remote: std::net::IpAddr::from([127, 0, 0, 1]).into(),
                https: false,
                version: "1.1",
            },
            checked: None,
        };
        let body = Body::Memory(Bytes::copy_from_slice(&[b'x'; BODY]));
        Event { head: head.into(), body, trailers: Fields::default(), held: None }
    }

    fn is_answered(&self, store: &Store, lease: Lease) {
        let body = Bytes::copy_from_slice(b"{\"ok\":true}");
        let result = AttemptResult::Answered { status: 200, fields: copy(&self.answer), body };
        let attempt = Some(Attempt { number: 1, started_ms: 1, took_ms: 3, result });
        store.settle(Settlement { lease, attempt, next: Next::Delivered });
    }
}

fn copy(fields: &Fields) -> Fields {
    Fields::parse(Bytes::copy_from_slice(fields.encoded())).expect("well-formed")
}

/// CPU time of the three inserts of an event with nothing around them, in µs.
fn bare(time: Duration) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut shelf = runtime.block_on(Shelf::fresh());
    let provider = Provider::new(shelf.endpoint);
    shelf.close();
    let db = Connection::open(shelf.folder.path().join("store/relay.db")).expect("a database");
    db.pragma_update(None, "synchronous", "FULL").expect("it is set");
    let (begun, before, mut n) = (Instant::now(), cpu_of_this_thread(), 0_u64);
    while begun.elapsed() < time {
        db.execute_batch("BEGIN IMMEDIATE").expect("it begins");
        for _ in 0..COMMIT {
            n += 1;
            insert(&db, &provider, n).expect("three rows");
        }
        db.execute_batch("COMMIT").expect("it is durable");
    }
    (cpu_of_this_thread() - before).as_secs_f64() * 1e6 / n as f64
}

fn insert(db: &Connection, provider: &Provider, n: u64) -> rusqlite::Result<()> {
    let (id, fields, answer) = (EventId::now(), provider.fields.encoded(), &provider.answer);
    db.prepare_cached("INSERT INTO payloads(n, fields, body, sums) VALUES(?1, ?2, ?3, 1)")?
        .execute(params![n as i64, &fields[..], &[b'x'; BODY][..]])?;
    db.prepare_cached(
        "INSERT INTO events(endpoint, id, seq, payload, method, path, remote, https, version, body_len, body_kept)
         VALUES(?1, ?2, ?3, ?3, 'POST', x'2f70617468', '127.0.0.1', 0, '1.1', 1024, 'row')",
    )?
    .execute(params![provider.endpoint.0, id.as_bytes(), n as i64])?;
    db.prepare_cached(
        "INSERT INTO deliveries(endpoint, event, grp, replay, state, attempts, started_ms, took_ms, status, fields, body, size)
         VALUES(?1, ?2, 'main', 0, 'delivered', 1, 1, 3, 200, ?3, x'7b7d', 1024)",
    )?
    .execute(params![provider.endpoint.0, id.as_bytes(), &answer.encoded()[..]])?;
    Ok(())
}
