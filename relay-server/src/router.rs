//! Which session gets an event: one question, one enum. Knows sessions only as seats; nothing of HTTP or the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use relay_protocol::id::Name;
use tokio::sync::Notify;

use crate::endpoint::EndpointId;
use crate::session::{Session, Subscribed};
use crate::workers::here;

/// For how long after its last agent has gone an endpoint counts as just reconnecting.
const RECENT: Duration = Duration::from_secs(60);

/// The answer.
#[derive(Debug)]
pub enum Route {
    /// This session, as this one of its subscriptions.
    To(Arc<Session>, u16),
    /// There are agents, but each has as much in hand as it may.
    Full,
    /// There is no agent, but there was one a moment ago.
    Away,
    /// There is no agent.
    Nobody,
}

/// A session that serves a group.
#[derive(Debug)]
struct Seat {
    session: Arc<Session>,
    subscription: u16,
}

impl Seat {
    fn served(&self) -> &Subscribed {
        &self.session.subscriptions[usize::from(self.subscription)]
    }
}

/// What the agents of a group take from its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serves {
    /// Nothing that is older than this.
    pub skip_older_than: Option<Duration>,
    /// No more than so many at once, in what live events leave.
    pub room: usize,
}

/// The sessions that share the work of one group.
#[derive(Debug, Default)]
struct Group {
    seats: Vec<Seat>,
    left: Option<Instant>,
    /// Its one agent, on all its lines, only looks on.
    tap: bool,
}

/// One endpoint's groups.
#[derive(Debug, Default)]
struct Place {
    groups: HashMap<Name, Group>,
    changed: Arc<Notify>,
}

/// All live sessions by what they serve.
#[derive(Debug)]
pub struct Router {
    places: DashMap<EndpointId, Place, RandomState>,
    /// How many taps there are, over all endpoints: mostly none, and then nobody looks for them.
    taps: AtomicUsize,
    started: Instant,
}

impl Default for Router {
    fn default() -> Self {
        Self { places: DashMap::default(), taps: AtomicUsize::new(0), started: Instant::now() }
    }
}

impl Router {
    /// Seats a session in all its groups until the guard is dropped; it gets work once it is welcomed. An older session of the same line is unseated and
    /// returned, to be told so.
    pub fn join(self: &Arc<Self>, session: &Arc<Session>) -> (Presence, Option<Arc<Session>>) {
        let mut older = None;
        for (subscription, served) in session.subscriptions.iter().enumerate() {
            let mut place = self.places.entry(served.endpoint).or_default();
            let group = place.groups.entry(served.group.clone()).or_default();
            if served.tap {
                group.tap = true;
                self.taps.fetch_add(1, Ordering::Relaxed);
            }
            let seats = &mut group.seats;
            if let Some(same) = seats.iter().position(|seat| seat.session.is_same_line(session)) {
                older = Some(seats.swap_remove(same).session);
            }
            let subscription = u16::try_from(subscription).expect("subscriptions are bounded");
            seats.push(Seat { session: Arc::clone(session), subscription });
        }
        (Presence { router: Arc::clone(self), session: Arc::clone(session) }, older)
    }

    /// Who gets an event of this endpoint for this group; sessions in `tried` have refused it already. What is
    /// `queued` goes to nobody who wants nothing from the queue.
    ///
    /// Work is balanced over agents. Of one agent's lines, that of the worker who asks is taken while it has room, so that
    /// nothing wakes across threads; otherwise the first, so that its frames share system calls.
    #[must_use]
    pub fn route(
        &self,
        endpoint: EndpointId,
        group: &Name,
        tried: &[Arc<Session>],
        queued: bool,
    ) -> Route {
        let Some(place) = self.places.get(&endpoint) else { return self.nobody(None) };
        let Some(group) = place.groups.get(group) else { return self.nobody(None) };
        let untried = |seat: &&Seat| {
            let refused = tried.iter().any(|one| Arc::ptr_eq(one, &seat.session));
            !refused && (!queued || !seat.served().held)
        };
        match best(&group.seats, untried) {
            Some(seat) => Route::To(Arc::clone(&seat.session), seat.subscription),
            None if group.seats.iter().any(|seat| seat.session.carrier.is_taking()) => Route::Full,
            // It has just gone or come, and its seat is not up to date yet.
            None if !group.seats.is_empty() => Route::Away,
            None => self.nobody(group.left),
        }
    }

    /// Whether somebody takes what waits in the queue of this group, and what of it.
    #[must_use]
    pub fn serves(&self, endpoint: EndpointId, group: &Name) -> Option<Serves> {
        let place = self.places.get(&endpoint)?;
        let seats = place.groups.get(group)?.seats.iter().map(|seat| (seat, seat.served()));
        let taking = seats
            .filter(|(seat, served)| !served.held && seat.session.carrier.is_taking())
            .map(|(seat, served)| Serves {
                skip_older_than: served.skip_older_than,
                room: seat.session.carrier.room(),
            });
        // As much as any of them wants: what one agent would skip, another may want.
        taking.reduce(|a, b| Serves {
            skip_older_than: a.skip_older_than.zip(b.skip_older_than).map(|(a, b)| a.max(b)),
            room: a.room + b.room,
        })
    }

    /// The groups of everybody who only looks on at this endpoint.
    #[must_use]
    pub fn taps(&self, endpoint: EndpointId) -> Vec<Name> {
        if self.taps.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let Some(place) = self.places.get(&endpoint) else { return Vec::new() };
        let taps = place.groups.iter().filter(|(_, group)| group.tap);
        taps.map(|(name, _)| name.clone()).collect()
    }

    /// Says that a session takes work from now on.
    pub fn announce(&self, session: &Session) {
        for served in &session.subscriptions {
            if let Some(place) = self.places.get(&served.endpoint) {
                place.changed.notify_waiters();
            }
        }
    }

    /// Told whenever an agent of the endpoint comes. Take it before asking, so that nothing is missed in between.
    #[must_use]
    pub fn changes(&self, endpoint: EndpointId) -> Arc<Notify> {
        Arc::clone(&self.places.entry(endpoint).or_default().changed)
    }

    /// Every session, once.
    #[must_use]
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<Arc<Session>> = Vec::new();
        for place in &self.places {
            let seats = place.groups.values().flat_map(|group| &group.seats);
            all.extend(seats.map(|seat| Arc::clone(&seat.session)));
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all
    }

    /// Forgets an endpoint that was deleted; its sessions keep their other ones.
    pub fn forget(&self, endpoint: EndpointId) {
        self.places.remove(&endpoint);
    }

    /// After a start every agent is just reconnecting.
    fn nobody(&self, left: Option<Instant>) -> Route {
        if left.unwrap_or(self.started).elapsed() < RECENT { Route::Away } else { Route::Nobody }
    }

    fn leave(&self, session: &Arc<Session>) {
        for served in &session.subscriptions {
            if served.tap {
                self.taps.fetch_sub(1, Ordering::Relaxed);
            }
            let Some(mut place) = self.places.get_mut(&served.endpoint) else { continue };
            let Some(group) = place.groups.get_mut(&served.group) else { continue };
            // By identity: a late cleanup must not unseat the session that came in its place.
            group.seats.retain(|seat| !Arc::ptr_eq(&seat.session, session));
            if group.seats.is_empty() && served.tap {
                place.groups.remove(&served.group);
            } else if group.seats.is_empty() {
                group.left = Some(Instant::now());
            }
        }
    }
}

/// The seat that gets the next event.
fn best(seats: &[Seat], may: impl Fn(&&Seat) -> bool) -> Option<&Seat> {
    let here = here();
    let rank = |seat: &&Seat| (seat.session.worker != here, seat.session.line);
    let has_room = |seat: &&Seat| seat.session.carrier.room() > 0;
    // Mostly there is one agent, and a line at hand: a look at the others would disturb the threads that drive them.
    let alone = seats.windows(2).all(|two| two[0].session.instance == two[1].session.instance);
    if alone && let Some(seat) = seats.iter().filter(&may).min_by_key(rank).filter(has_room) {
        return Some(seat);
    }
    let mut best: Option<(&Seat, usize)> = None;
    for seat in seats.iter().filter(may).filter(has_room) {
        let load = seat.session.carrier.stream_count();
        let better = best.is_none_or(|(other, least)| {
            let same_agent = other.session.instance == seat.session.instance;
            if same_agent { rank(&seat) < rank(&other) } else { load < least }
        });
        if better {
            best = Some((seat, load));
        }
    }
    best.map(|(seat, _)| seat)
}

/// A session's seats; given up when dropped.
#[derive(Debug)]
pub struct Presence {
    router: Arc<Router>,
    session: Arc<Session>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.router.leave(&self.session);
    }
}
