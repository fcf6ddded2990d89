//! Events that are kept in bundles are like all others for whoever looks, replays, or keeps only so many.

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_server::clock::now_ms;
use relay_server::delivery::State;
use relay_server::event::Body;
use relay_server::store::records::{
    Actor, EventFilter, Keep, ReplayOrder, ReplayStep, Replayable, Standing,
};
use relay_server::store::upkeep::{backup, check, restore};
use relay_tests::shelf::{ROOMY, Shelf, event, over};
use relay_tests::wait::until;

const WHATEVER: Replayable = Replayable {
    group: None,
    groups: None,
    not_open: false,
    never_succeeded: false,
    rejected: false,
};

/// How many bundles there are.
fn bundles(shelf: &Shelf) -> i64 {
    let db = rusqlite::Connection::open(shelf.folder.path().join("store/relay.db")).unwrap();
    db.query_row("SELECT count(*) FROM bundles", [], |row| row.get(0)).unwrap()
}

/// What a check of the store finds: how many events there are, and what is wrong.
fn checked(shelf: &Shelf) -> (i64, Vec<String>) {
    let report = check(&shelf.folder.path().join("store")).unwrap();
    (report.events, report.damages)
}

/// An id of this moment, this many milliseconds after it.
fn at(ms: u64) -> EventId {
    EventId::first_at(now_ms() + ms)
}

/// Takes these events, answered with 200, into the store with one commit.
async fn take(shelf: &Shelf, ids: &[EventId]) {
    for id in ids {
        let body = Body::Memory(Bytes::copy_from_slice(id.as_bytes()));
        shelf.note(event(shelf.endpoint, *id, body), 200);
    }
    shelf.store().flush().await.unwrap();
}

#[tokio::test]
async fn an_event_in_a_bundle_is_shown_as_one_in_rows() {
    let shelf = Shelf::fresh().await;
    let (in_bundle, in_rows) = (shelf.event("the body"), shelf.event("the body"));
    let ids = [in_bundle.head.id, in_rows.head.id];
    shelf.note(in_bundle, 200);
    let (noted, ended) = over(in_rows, 200);
    shelf.store().note(noted).unwrap();
    shelf.store().settle(ended);
    shelf.store().flush().await.unwrap();
    assert_eq!(bundles(&shelf), 1);
    let mut listed = shelf.listed().await;
    assert_eq!(listed.iter().map(|event| event.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
    (listed[0].id, listed[0].seq) = (ids[0], listed[1].seq);
    assert_eq!(listed[0], listed[1]);
    let mut shown = Vec::new();
    for id in ids {
        let mut found = shelf.store().event(id).await.unwrap().unwrap();
        found.deliveries[0].tried[0].started_ms = 0;
        let (_, body) = shelf.store().body(id).await.unwrap().unwrap();
        assert!(matches!(body, Body::Memory(bytes) if bytes == "the body"));
        let Standing::Answered { taken: true, status: 200, body, .. } =
            shelf.store().standing(shelf.endpoint, id).await.unwrap()
        else {
            panic!("it was answered");
        };
        assert_eq!(body, "answer");
        let head = &found.event.head;
        let head = (head.method.clone(), head.path.clone(), head.fields.clone());
        shown.push((head, found.event.head.origin.clone(), found.note, found.deliveries));
    }
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shelf.counts().await, [("delivered", 2)]);
    assert_eq!(checked(&shelf), (2, vec![]));
}

#[tokio::test]
async fn what_is_no_plain_delivery_has_rows_of_its_own() {
    let shelf = Shelf::fresh().await;
    shelf.answered(500).await;
    let large = Body::Memory(vec![7; 20_000].into());
    shelf.note(event(shelf.endpoint, EventId::now(), large), 200);
    let (mut noted, ended) = over(shelf.event("with a note"), 200);
    noted.note = Some("something".into());
    shelf.store().note_over(noted, ended).unwrap();
    shelf.store().flush().await.unwrap();
    assert_eq!(bundles(&shelf), 0);
    assert_eq!(shelf.counts().await, [("delivered", 2), ("failed", 1)]);
    assert_eq!(checked(&shelf), (3, vec![]));
}

#[tokio::test]
async fn pages_are_in_order_though_bundles_overlap() {
    let shelf = Shelf::fresh().await;
    let mut ids: Vec<EventId> = (0..400).map(|n| at(n * 7)).collect();
    // Each commit has some of a stretch of 3 s, and what is left comes with later ones.
    let mut rest = ids.clone();
    fastrand::shuffle(&mut rest[100..300]);
    for some in rest.chunks(57) {
        take(&shelf, some).await;
    }
    ids.reverse();
    let everything = EventFilter::of(vec![shelf.endpoint]);
    for states in [vec![], vec![State::Delivered]] {
        for limit in [1, 10, 130, 1000] {
            let (mut before, mut seen) = (everything.before, Vec::new());
            loop {
                let filter = EventFilter { before, states: states.clone(), ..everything.clone() };
                let page = shelf.store().page(filter, limit).await.unwrap();
                let Some(last) = page.last() else { break };
                before = last.id;
                seen.extend(page.iter().map(|event| event.id));
            }
            assert_eq!(seen, ids, "{states:?}, {limit} a page");
        }
    }
    ids.reverse();
    let mut seen = vec![EventId::from_bytes([0; 16])];
    while seen.len() <= ids.len() {
        let last = *seen.last().unwrap();
        let next = shelf.store().after(vec![shelf.endpoint], last, 33).await.unwrap();
        assert!(!next.is_empty(), "some are left out");
        seen.extend(next.into_iter().map(|(_, id)| id));
    }
    assert_eq!(seen[1..], ids);
    let filter = EventFilter { since: ids[50], before: ids[90], ..everything };
    let matching = shelf.store().matching(shelf.endpoint, filter, None, 1000).await.unwrap();
    assert_eq!(matching, ids[50..90]);
    assert_eq!(checked(&shelf), (400, vec![]));
}

#[tokio::test]
async fn what_is_replayed_comes_out_of_its_bundle_and_nothing_else_changes() {
    let mut shelf = Shelf::fresh().await;
    let ids: Vec<EventId> = (0..5).map(at).collect();
    take(&shelf, &ids).await;
    let before = shelf.listed().await;
    let (store, endpoint) = (shelf.store(), shelf.endpoint);
    let counted = store.count_replayable(endpoint, ids.clone(), WHATEVER).await.unwrap();
    assert_eq!((counted.deliveries, bundles(&shelf)), (5, 1));
    let never = Replayable { never_succeeded: true, ..WHATEVER };
    let counted = store.count_replayable(endpoint, ids.clone(), never).await.unwrap();
    assert_eq!(counted.deliveries, 0);
    let order = ReplayOrder { at_ms: 1, by: Actor::program("tests"), endpoint, what: "one".into() };
    let replay = store.begin_replay(order).await.unwrap();
    let step =
        ReplayStep { replay, endpoint, events: vec![(ids[2], 0)], which: WHATEVER, room: ROOMY };
    assert_eq!(store.replay(step).await.unwrap().deliveries, 1);
    assert_eq!(bundles(&shelf), 0);
    assert_eq!(shelf.counts().await, [("delivered", 5), ("pending", 1)]);
    let leased = shelf.lease(9).await.leased.remove(0);
    assert!(matches!(&leased.event.body, Body::Memory(bytes) if bytes == &ids[2].as_bytes()[..]));
    shelf.settle(leased.lease, 1, 200, relay_server::store::records::Next::Delivered).await;
    let mut after = shelf.listed().await;
    assert_eq!(after[2].replay, 1);
    after[2].replay = 0;
    assert_eq!(after, before);
    assert_eq!(checked(&shelf), (5, vec![]));
    shelf.reopen();
    assert!(shelf.store().new_id() > ids[4]);
}

#[tokio::test]
async fn of_a_bundle_as_many_events_are_kept_as_should_be() {
    let shelf = Shelf::fresh().await;
    let ids: Vec<EventId> = (0..100).map(at).collect();
    take(&shelf, &ids).await;
    assert_eq!(bundles(&shelf), 2, "so many are too many for one");
    let all = Keep { age_ms: u64::MAX, events: None, bytes: None };
    shelf.store().set_retention(shelf.endpoint, Keep { events: Some(70), ..all });
    until("the oldest have gone", async || shelf.counts().await == [("delivered", 70)]).await;
    let kept: Vec<EventId> = shelf.listed().await.iter().rev().map(|event| event.id).collect();
    assert_eq!(kept, ids[30..]);
    assert_eq!(bundles(&shelf), 1, "the other one was opened");
    shelf.store().set_retention(shelf.endpoint, Keep { bytes: Some(16 * 20), ..all });
    until("no more bytes are kept", async || shelf.counts().await == [("delivered", 20)]).await;
    assert_eq!(shelf.listed().await[19].id, ids[80]);
    assert_eq!(checked(&shelf), (20, vec![]));
}

#[tokio::test]
async fn bundles_that_are_too_old_go_whole_and_those_of_a_deleted_endpoint_too() {
    let shelf = Shelf::fresh().await;
    let old = now_ms() - 3_600_000;
    for n in 0..300 {
        let id = EventId::first_at(old + n);
        let (noted, mut ended) = over(event(shelf.endpoint, id, Body::Absent(3)), 200);
        ended.attempt.as_mut().unwrap().started_ms = old;
        shelf.store().note_over(noted, ended).unwrap();
    }
    shelf.answered(200).await;
    let keep = Keep { age_ms: 1_800_000, events: None, bytes: None };
    shelf.store().set_retention(shelf.endpoint, keep);
    until("they have gone", async || shelf.counts().await == [("delivered", 1)]).await;
    assert_eq!((bundles(&shelf), checked(&shelf)), (1, (1, vec![])));
    shelf.store().delete_endpoint(shelf.endpoint, Actor::program("tests")).await.unwrap();
    until("it is gone", async || shelf.listed().await.is_empty()).await;
    until("its bundle too", async || bundles(&shelf) == 0).await;
    assert_eq!(checked(&shelf), (0, vec![]));
}

#[tokio::test]
async fn a_bundle_that_the_disk_has_changed_is_found_and_its_event_given_to_nobody() {
    let mut shelf = Shelf::fresh().await;
    let ids: Vec<EventId> = (0..3).map(at).collect();
    take(&shelf, &ids).await;
    shelf.close();
    let db = rusqlite::Connection::open(shelf.folder.path().join("store/relay.db")).unwrap();
    // The last byte of the body is not followed by many: the attempt, and the answer.
    let mut data: Vec<u8> = db.query_row("SELECT data FROM bundles", [], |row| row.get(0)).unwrap();
    let bad = &ids[1].as_bytes()[..];
    let body = data.windows(16).position(|bytes| bytes == bad).unwrap();
    data[body + 15] ^= 1;
    db.execute("UPDATE bundles SET data = ?1", [&data]).unwrap();
    drop(db);
    let wanted = vec![format!("the event {} is not what it was", ids[1])];
    assert_eq!(checked(&shelf), (3, wanted.clone()));
    shelf.reopen();
    let body = async |id| shelf.store().body(id).await.unwrap().unwrap().1;
    assert!(matches!(body(ids[0]).await, Body::Memory(_)));
    assert!(matches!(body(ids[1]).await, Body::Absent(16)));
    let keep = Keep { age_ms: u64::MAX, events: Some(2), bytes: None };
    shelf.store().set_retention(shelf.endpoint, keep);
    until("it is in rows", async || bundles(&shelf) == 0).await;
    until("one has gone", async || shelf.counts().await == [("delivered", 2)]).await;
    assert_eq!(checked(&shelf), (2, wanted), "it is not sound by being written anew");
}

#[tokio::test]
async fn bundles_are_in_a_backup() {
    let shelf = Shelf::fresh().await;
    let ids: Vec<EventId> = (0..10).map(at).collect();
    take(&shelf, &ids).await;
    let (file, data) = (shelf.folder.path().join("backup"), shelf.folder.path().join("again"));
    backup(&shelf.folder.path().join("store"), &file).unwrap();
    restore(&file, &data).unwrap();
    let report = check(&data).unwrap();
    assert_eq!((report.events, report.damages), (10, vec![]));
    let again = relay_server::store::Store::open(&data).unwrap();
    let page = again.page(EventFilter::of(vec![shelf.endpoint]), 100).await.unwrap();
    assert_eq!(page, shelf.listed().await);
    assert_eq!(page[0].group, Name::main());
}
