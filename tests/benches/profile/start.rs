//! How long a relay that was killed takes until it is ready again, with many events kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use relay_server::endpoint::EndpointId;
use relay_server::event::{Body, Event, Head, Origin};
use relay_server::store::records::{Acceptance, NewDelivery, Room, Start};
use relay_server::store::{Store, StoreError};
use relay_tests::relay::Relay;

use crate::open_loop::{bodies, post};

/// How often it is killed.
const TIMES: usize = 5;

pub(crate) async fn measure(kept: u32) {
    println!("\n## ready again after kill -9, with {kept} events kept\n");
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint_with("kept", &[("reply", "ack")]).await;
    relay.stop().await;
    let begun = Instant::now();
    fill(&relay, kept).await;
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    relay.resume_program().await;
    for _ in 0..TIMES {
        // So that something is in the log that is not in the database yet.
        let (to, bodies) = (relay.address, bodies(None));
        post(to, &endpoint.path, &bodies, 500.0, Duration::from_secs(2)).await;
        relay.process().kill().await;
        let begun = Instant::now();
        relay.resume_program().await;
        println!("ready in {:.2} s", begun.elapsed().as_secs_f64());
    }
}

/// Puts the events into the store itself: over HTTP it would take minutes. Half wait, half were filtered.
async fn fill(relay: &Relay, kept: u32) {
    let store = Store::open(&relay.data.path().join("store")).expect("the store");
    let endpoint = store.endpoints().await.expect("it reads")[0].id;
    for n in 0..kept {
        let start = if n % 2 == 0 { Start::Due(0) } else { Start::Filtered("not wanted".into()) };
        while let Err(StoreError::Overloaded) = store.note(acceptance(endpoint, start.clone())) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    store.flush().await.expect("it is written");
}

fn acceptance(endpoint: EndpointId, start: Start) -> Acceptance {
    let head = Head {
        id: EventId::now(),
        endpoint,
        method: Bytes::from_static(b"POST"),
        path: Bytes::from_static(b"/path"),
        fields: [(&b"content-type"[..], &b"application/json"[..])].into_iter().collect(),
        origin: Origin {
            remote: std::net::IpAddr::from([127, 0, 0, 1]).into(),
            https: false,
            version: "1.1",
        },
        checked: None,
    };
    let body = Body::Memory(Bytes::from(vec![b'x'; 1024]));
    let event = Event { head: Arc::new(head), body, trailers: Fields::default(), held: None };
    let (group, order_key, collapse) = (Name::main(), None, None);
    let deliveries = vec![NewDelivery { group, start, order_key, collapse }];
    let room = Room { events: u64::MAX, bytes: u64::MAX };
    let (keep_body, dedup, note, replay_of) = (true, None, None, None);
    Acceptance { event, deliveries, keep_body, dedup, room, note, replay_of }
}
