//! A store by itself, with one endpoint: what the suite of its behaviour is told with. Knows nothing of any engine.

use std::sync::Arc;

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use relay_server::clock::now_ms;
use relay_server::delivery::KeyHash;
use relay_server::endpoint::{EndpointId, Key, Settings};
use relay_server::event::{Body, Event, Head, Origin};
use relay_server::store::records::{
    Acceptance, Actor, Attempt, AttemptResult, Due, EventFilter, Lease, NewDelivery, NewEndpoint,
    Next, Receipt, Room, Settlement, Start, Summary, Want,
};
use relay_server::store::{Store, StoreError};

use crate::folder::Folder;

/// As much as anybody wants may wait.
pub const ROOMY: Room = Room { events: u64::MAX, bytes: u64::MAX };

/// A store on a disk.
#[derive(Debug)]
pub struct Shelf {
    /// Where it is.
    pub folder: Folder,
    /// Its one endpoint.
    pub endpoint: EndpointId,
    store: Option<Store>,
}

impl Shelf {
    /// A fresh one.
    ///
    /// # Panics
    /// When the disk does not take it.
    pub async fn fresh() -> Self {
        let folder = Folder::fresh();
        let store = Store::init(&folder.path().join("store")).expect("a store");
        let endpoint = endpoint(&store, "story").await;
        Self { folder, endpoint, store: Some(store) }
    }

    /// The store.
    ///
    /// # Panics
    /// While it is closed.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    /// Closes the store.
    pub fn close(&mut self) {
        self.store = None;
    }

    /// Closes the store and opens it again.
    ///
    /// # Panics
    /// When it does not open.
    pub fn reopen(&mut self) {
        self.close();
        self.store = Some(Store::open(&self.folder.path().join("store")).expect("it opens"));
    }

    /// An event with this body, taken now.
    #[must_use]
    pub fn event(&self, body: &str) -> Event {
        event(
            self.endpoint,
            self.store().new_id(),
            Body::Memory(Bytes::copy_from_slice(body.as_bytes())),
        )
    }

    /// Accepts an event that is due at once, and gives its id.
    ///
    /// # Panics
    /// When the store does not take it.
    pub async fn accept(&self, body: &str) -> EventId {
        let acceptance = due(self.event(body));
        let id = acceptance.event.head.id;
        self.store().accept(acceptance).await.expect("it is kept");
        id
    }

    /// Accepts an event that was answered live with this status, and gives its id.
    ///
    /// # Panics
    /// When the store does not take it.
    pub async fn answered(&self, status: u16) -> EventId {
        let id = self.note(self.event("live"), status);
        self.store().flush().await.expect("it is written");
        id
    }

    /// Notes an event with the status that it was answered with.
    ///
    /// # Panics
    /// When the store does not take it.
    pub fn note(&self, event: Event, status: u16) -> EventId {
        note(self.store(), event, status).expect("it is noted")
    }

    /// Leases what is due until a second from now.
    pub async fn lease(&self, most: usize) -> Due {
        self.lease_at(now_ms(), most, 1000).await
    }

    /// Leases what is due at this time, for so many milliseconds.
    ///
    /// # Panics
    /// When the store does not.
    pub async fn lease_at(&self, now_ms: u64, most: usize, for_ms: u64) -> Due {
        let (endpoint, group, until_ms) = (self.endpoint, Name::main(), now_ms + for_ms);
        let (bytes, not_before_ms, gather) = (u64::MAX, 0, None);
        let want = Want { endpoint, group, now_ms, until_ms, most, bytes, not_before_ms, gather };
        let due = self.store().lease(want).await.expect("it leases");
        self.store().flush().await.expect("it is written");
        due
    }

    /// Settles an attempt that was answered with this status.
    ///
    /// # Panics
    /// When the store does not write.
    pub async fn settle(&self, lease: Lease, number: u32, status: u16, next: Next) {
        self.store().settle(settlement(lease, number, status, next));
        self.store().flush().await.expect("it is written");
    }

    /// Everything there is of the endpoint, the newest first.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn listed(&self) -> Vec<Summary> {
        let all = EventFilter::of(vec![self.endpoint]);
        self.store().page(all, 100_000).await.expect("it is read")
    }

    /// How many deliveries are in each state, by name.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.store().counts(self.endpoint).await.expect("they are read");
        let mut counts: Vec<_> =
            counts.iter().map(|count| (count.state.as_str(), count.n)).collect();
        counts.sort_unstable();
        counts
    }
}

/// Makes an endpoint.
///
/// # Panics
/// When the store does not take it.
pub async fn endpoint(store: &Store, name: &str) -> EndpointId {
    let name: Name = name.parse().expect("a name");
    let new = NewEndpoint {
        key: Key::random(&name),
        name,
        secrets: Vec::new(),
        created_ms: 0,
        set: std::collections::BTreeMap::new(),
        settings: Settings::default(),
    };
    store.create_endpoint(new, Actor::program("tests")).await.expect("an endpoint").id
}

/// An event.
#[must_use]
pub fn event(endpoint: EndpointId, id: EventId, body: Body) -> Event {
    let head = Head {
        id,
        endpoint,
        method: Bytes::from_static(b"POST"),
        path: Bytes::from_static(b"/path?query"),
        fields: [(&b"content-type"[..], &b"text/plain"[..])].into_iter().collect(),
        origin: Origin {
            remote: std::net::IpAddr::from([127, 0, 0, 1]).into(),
            https: false,
            version: "1.1",
        },
        checked: None,
    };
    Event { head: Arc::new(head), body, trailers: Fields::default(), held: None }
}

/// Notes an event that is over, with the status that it was answered with.
///
/// # Errors
/// When the store does not take it.
pub fn note(store: &Store, event: Event, status: u16) -> Result<EventId, StoreError> {
    let id = event.head.id;
    let (noted, ended) = over(event, status);
    store.note_over(noted, ended)?;
    Ok(id)
}

/// An event, and how its live delivery ended that was answered with this status.
#[must_use]
pub fn over(event: Event, status: u16) -> (Acceptance, Settlement) {
    let lease = Lease::new(event.head.endpoint, event.head.id, Name::main());
    let next = if status < 300 { Next::Delivered } else { Next::Failed };
    (accepting(event, Start::Live(lease.token)), settlement(lease, 1, status, next))
}

/// What accepts an event for `main` that is due at once.
#[must_use]
pub fn due(event: Event) -> Acceptance {
    accepting(event, Start::Due(0))
}

/// What accepts an event for `main` that begins so.
#[must_use]
pub fn accepting(event: Event, start: Start) -> Acceptance {
    let (order_key, collapse) = (None, None);
    let main = NewDelivery { group: Name::main(), start, order_key, collapse };
    Acceptance {
        event,
        deliveries: vec![main],
        keep_body: true,
        dedup: None,
        room: ROOMY,
        note: None,
        replay_of: None,
    }
}

/// How an attempt ended that was answered with this status.
#[must_use]
pub fn settlement(lease: Lease, number: u32, status: u16, next: Next) -> Settlement {
    let (fields, body) = (Fields::default(), Bytes::from_static(b"answer"));
    let result = AttemptResult::Answered { status, fields, body };
    let attempt = Some(Attempt { number, started_ms: now_ms(), took_ms: 0, result });
    Settlement { lease, attempt, next }
}

/// The key of this text.
#[must_use]
pub fn key(text: &str) -> KeyHash {
    let mut hash = [0; 16];
    hash[..text.len()].copy_from_slice(text.as_bytes());
    KeyHash(hash)
}

/// The number under which an event was kept.
///
/// # Panics
/// When it was not.
#[must_use]
pub fn seq(receipt: &Result<Receipt, StoreError>) -> u64 {
    match receipt {
        Ok(Receipt::Kept(seq)) => *seq,
        other => panic!("not kept: {other:?}"),
    }
}
