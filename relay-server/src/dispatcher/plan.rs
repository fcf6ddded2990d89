//! What an event will go through, decided once when it comes: which groups get it, in whose turn, and what it repeats.

use std::sync::Arc;

use relay_protocol::id::Name;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{Arrived, Payload};
use crate::clock::now_ms;
use crate::delivery::content::JSON_MAX;
use crate::delivery::filter::{Verdict, View};
use crate::delivery::{Content, KeyHash, Selector};
use crate::endpoint::Settings;
use crate::endpoint::settings::Order;
use crate::event::Head;
use crate::store::records::{Collapse, Dedup, NewDelivery, Room, Start};
use crate::store::spool::Spooled;

/// A key that is never quiet is delivered at the latest after so many times the quiet that is waited for.
const COLLAPSE_WAITS: u64 = 10;

/// The plan for one event.
#[derive(Debug)]
pub(super) struct Plan {
    groups: Vec<Planned>,
    /// What makes it a repeat of another.
    pub(super) dedup: Option<Dedup>,
    /// How much may wait for its endpoint.
    pub(super) room: Room,
    /// What is worth knowing about it, in words.
    pub(super) note: Option<String>,
    /// How long after it has come it is due.
    wait_ms: u64,
    /// How long after it has come it is due however many take its place.
    collapse_within_ms: u64,
}

#[derive(Debug)]
struct Planned {
    group: Name,
    /// Why the group does not get it, if so.
    filtered: Option<String>,
    order_key: Option<KeyHash>,
    collapse_key: Option<KeyHash>,
}

impl Plan {
    /// The plan by these settings.
    pub(super) fn of(
        settings: &Settings,
        head: &Head,
        content: &Content<'_>,
        size: u64,
        now_ms: u64,
    ) -> Self {
        let mut missing = Vec::new();
        let mut key = |selector: Option<&Selector>, what: &'static str| {
            let selector = selector?;
            let key = selector.key(head, content);
            if key.is_none() {
                let unseen = if selector.reads_body() { unseen(size) } else { "" };
                missing.push(format!("{what}: no key at {selector}{unseen}"));
            }
            key
        };
        let order_key = match &settings.order {
            Order::None => None,
            Order::Endpoint => Some(KeyHash([0; 16])),
            Order::Key(selector) => key(Some(selector), "order"),
        };
        let repeats = known_repeats(settings, head);
        let dedup_key = key(repeats, "dedup").zip(repeats).map(|(k, by)| by.of_repeats(k, head));
        let collapse_key = key(settings.collapse.as_ref(), "collapse");
        let view = View { head, event_type: head.event_type(), size, content };
        let planned = |group: &Name| {
            let filtered = filtered(settings, group, &view);
            Planned { group: group.clone(), filtered, order_key, collapse_key }
        };
        let until = |key| Dedup { key, until_ms: now_ms.saturating_add(ms(settings.dedup_window)) };
        let wait = match () {
            () if collapse_key.is_some() => ms(settings.collapse_wait),
            () if settings.batch > 1 => ms(settings.batch_wait),
            () => 0,
        };
        Self {
            groups: settings.groups.iter().map(planned).collect(),
            dedup: dedup_key.map(until),
            room: Room { events: settings.queue_max_events, bytes: settings.queue_max_bytes },
            note: (!missing.is_empty()).then(|| missing.join("; ")),
            wait_ms: wait,
            collapse_within_ms: wait.saturating_mul(COLLAPSE_WAITS),
        }
    }

    /// Whether the group that answers providers gets it; if not, why.
    pub(super) fn main_filtered(&self) -> Option<&str> {
        self.groups.first()?.filtered.as_deref()
    }

    /// Whether other groups than the first get it too.
    pub(super) fn has_others(&self) -> bool {
        self.groups.iter().skip(1).any(|planned| planned.filtered.is_none())
    }

    /// Whether it must wait for its turn.
    pub(super) fn is_ordered(&self) -> bool {
        self.groups.first().is_some_and(|main| main.order_key.is_some())
    }

    /// The deliveries it begins with: `main` as told, the other groups in the queue.
    pub(super) fn deliveries(&self, main: Option<&Start>, now_ms: u64) -> Vec<NewDelivery> {
        let due = Start::Due(now_ms.saturating_add(self.wait_ms));
        let by_ms = now_ms.saturating_add(self.collapse_within_ms);
        let begin = |(n, planned): (usize, &Planned)| NewDelivery {
            group: planned.group.clone(),
            start: match (&planned.filtered, main) {
                (Some(why), _) => Start::Filtered(why.clone()),
                (None, Some(start)) if n == 0 => start.clone(),
                (None, _) => due.clone(),
            },
            order_key: planned.order_key,
            collapse: planned.collapse_key.map(|key| Collapse { key, by_ms }),
        };
        self.groups.iter().enumerate().map(begin).collect()
    }
}

/// What repeats of an event are known by. Of one that nobody has proved there are none: what is forged would take the place
/// of the genuine event, which comes after it.
fn known_repeats<'a>(settings: &'a Settings, head: &Head) -> Option<&'a Selector> {
    let believed = settings.verify.is_none() || head.is_proved();
    settings.dedup.as_ref().filter(|_| believed)
}

/// Why a group does not take an event, if so.
fn filtered(settings: &Settings, group: &Name, view: &View<'_>) -> Option<String> {
    let filter = settings.filter_of(group)?;
    let unseen = if filter.reads_body() { unseen(view.size) } else { "" };
    match filter.takes(view) {
        Verdict::Taken => None,
        Verdict::NotTaken => Some(format!("the filter of group {group} does not take it{unseen}")),
        Verdict::Error(why) => Some(format!("the filter of group {group}: {why}{unseen}")),
    }
}

/// What is to be said of a body that is too long to be looked into.
fn unseen(size: u64) -> &'static str {
    if size > JSON_MAX as u64 { "; nothing is seen of a body above 1 MiB" } else { "" }
}

fn ms(wait: std::time::Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// How many bodies are looked into at once: as JSON each takes some ten times its size for a moment.
static LOOKS: Semaphore = Semaphore::const_new(4);

impl Arrived {
    /// The plan for it.
    pub(super) async fn plan(&self) -> Plan {
        match &self.payload {
            Payload::Whole { bytes, .. } => self.plan_by(&Content::new(bytes)),
            Payload::Stored(file, _) if looks_inside(&self.endpoint.settings, file.len()) => {
                Box::pin(self.plan_by_file(file)).await
            }
            Payload::Growing(..) | Payload::Stored(..) => self.plan_by(&Content::elsewhere()),
        }
    }

    fn plan_by(&self, content: &Content<'_>) -> Plan {
        let size = self.payload.len().unwrap_or(0);
        Plan::of(&self.endpoint.settings, &self.head, content, size, now_ms())
    }

    /// The plan by a body in a file: it is looked at on a thread of its own.
    async fn plan_by_file(&self, file: &Arc<Spooled>) -> Plan {
        let _turn = LOOKS.acquire().await;
        let Ok(bytes) = file.piece(0, JSON_MAX).await else {
            return self.plan_by(&Content::elsewhere());
        };
        let (endpoint, head, size) =
            (Arc::clone(&self.endpoint), Arc::clone(&self.head), file.len());
        let look =
            move || Plan::of(&endpoint.settings, &head, &Content::new(&bytes), size, now_ms());
        let looked = spawn_blocking(look).await;
        looked.unwrap_or_else(|_| self.plan_by(&Content::elsewhere()))
    }
}

/// Whether a body of this size is looked into.
fn looks_inside(settings: &Settings, size: u64) -> bool {
    let order = match &settings.order {
        Order::Key(selector) => Some(selector),
        Order::None | Order::Endpoint => None,
    };
    let mut keys =
        [order, settings.dedup.as_ref(), settings.collapse.as_ref()].into_iter().flatten();
    size <= JSON_MAX as u64 && (settings.filters_by_body() || keys.any(Selector::reads_body))
}
