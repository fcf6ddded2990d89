//! Kept events are made due again: to one group or all, only where that makes sense, and it is known who did it.

use relay_protocol::id::{EventId, Name};
use relay_server::clock::now_ms;
use relay_server::delivery::State;
use relay_server::store::records::{
    Actor, EventFilter, Next, ReplayOrder, ReplayStep, Replayable, Replayed, Room,
};
use relay_tests::shelf::{ROOMY, Shelf};

const ANY: Replayable = Replayable {
    group: None,
    groups: None,
    not_open: false,
    never_succeeded: false,
    rejected: false,
};

async fn begin(shelf: &Shelf) -> u32 {
    let by = Actor { token: Some("tok".to_owned()), name: None, address: None };
    let what = "by hand".to_owned();
    let order = ReplayOrder { at_ms: now_ms(), by, endpoint: shelf.endpoint, what };
    shelf.store().begin_replay(order).await.unwrap()
}

async fn replay(shelf: &Shelf, which: Replayable, room: Room, ids: &[EventId]) -> Replayed {
    let replay = begin(shelf).await;
    let events = ids.iter().map(|id| (*id, 0)).collect();
    let step = ReplayStep { replay, endpoint: shelf.endpoint, events, which, room };
    shelf.store().replay(step).await.unwrap()
}

#[tokio::test]
async fn a_replayed_event_is_delivered_once_more_and_both_outcomes_are_kept() {
    let shelf = Shelf::fresh().await;
    let id = shelf.answered(500).await;
    let replayed = replay(&shelf, ANY, ROOMY, &[id]).await;
    assert_eq!(replayed, Replayed { deliveries: 1, ..Replayed::default() });
    let leased = shelf.lease(9).await.leased.remove(0);
    assert_eq!((leased.lease.event, leased.lease.replay, leased.attempts), (id, 1, 0));
    shelf.settle(leased.lease, 1, 200, Next::Delivered).await;
    assert_eq!(shelf.counts().await, [("delivered", 1), ("failed", 1)]);
    let found = shelf.store().event(id).await.unwrap().unwrap();
    let states: Vec<State> = found.deliveries.iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, [State::Failed, State::Delivered]);
    assert_eq!((found.replays[0].token.as_str(), found.replays[0].count), ("tok", 1));
    assert_eq!(shelf.listed().await[0].state, State::Delivered);
}

#[tokio::test]
async fn a_bulk_replay_leaves_out_what_succeeded_and_what_is_under_way() {
    let shelf = Shelf::fresh().await;
    let (failed, delivered) = (shelf.answered(500).await, shelf.answered(200).await);
    let waits = shelf.accept("waits").await;
    let which = Replayable { not_open: true, never_succeeded: true, ..ANY };
    let all = [failed, delivered, waits];
    let counted = shelf.store().count_replayable(shelf.endpoint, all.to_vec(), which.clone());
    assert_eq!(counted.await.unwrap().deliveries, 1);
    assert_eq!(replay(&shelf, which.clone(), ROOMY, &all).await.deliveries, 1);
    assert_eq!(replay(&shelf, which, ROOMY, &all).await.deliveries, 0);
}

#[tokio::test]
async fn a_full_queue_ends_a_replay_and_says_so() {
    let shelf = Shelf::fresh().await;
    let ids = [shelf.answered(500).await, shelf.answered(500).await, shelf.answered(500).await];
    let replayed = replay(&shelf, ANY, Room { events: 2, bytes: u64::MAX }, &ids).await;
    assert_eq!((replayed.deliveries, replayed.full), (2, true));
}

#[tokio::test]
async fn a_group_that_never_had_the_event_can_be_given_it() {
    let shelf = Shelf::fresh().await;
    let id = shelf.answered(200).await;
    let late: Name = "late".parse().unwrap();
    let which = Replayable { group: Some(late.clone()), ..ANY };
    assert_eq!(replay(&shelf, which, ROOMY, &[id]).await.deliveries, 1);
    assert_eq!(shelf.store().backlog(shelf.endpoint, late).await.unwrap().count, 1);
    assert_eq!(shelf.store().backlog(shelf.endpoint, Name::main()).await.unwrap().count, 0);
}

#[tokio::test]
async fn the_events_of_a_filter_come_the_oldest_first_and_step_by_step() {
    let shelf = Shelf::fresh().await;
    let mut failed = Vec::new();
    for n in 0..9 {
        let id = shelf.answered(if n % 2 == 0 { 500 } else { 200 }).await;
        failed.extend((n % 2 == 0).then_some(id));
    }
    let mut filter = EventFilter::of(vec![shelf.endpoint]);
    filter.states = vec![State::Failed];
    let find = async |filter: &EventFilter| {
        shelf.store().matching(shelf.endpoint, filter.clone(), None, 3).await.unwrap()
    };
    assert_eq!(find(&filter).await, failed[..3]);
    filter.since = failed[3];
    assert_eq!(find(&filter).await, failed[3..]);
}
