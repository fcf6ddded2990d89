//! What nobody keeps goes, a little at a time; what is under way stays, and so does everything that is kept.

use bytes::Bytes;
use relay_protocol::id::EventId;
use relay_server::clock::now_ms;
use relay_server::event::Body;
use relay_server::store::records::{Actor, Keep, Next};
use relay_server::store::spool::SPOOL_ABOVE;
use relay_tests::shelf::{Shelf, due, endpoint, event};
use relay_tests::wait::until;

const FOR_EVER: Keep = Keep { age_ms: u64::MAX, events: None, bytes: None };

/// Waits until exactly these states are left.
async fn left(shelf: &Shelf, wanted: &[(&'static str, u64)]) {
    until("retention has done its work", async || shelf.counts().await == wanted).await;
}

#[tokio::test]
async fn events_beyond_the_count_go_the_oldest_first_and_never_an_open_one() {
    let shelf = Shelf::fresh().await;
    let open = shelf.accept("waits").await;
    for _ in 0..500 {
        shelf.note(shelf.event("live"), 200);
    }
    shelf.store().flush().await.unwrap();
    let last = shelf.answered(500).await;
    shelf.store().set_retention(shelf.endpoint, Keep { events: Some(3), ..FOR_EVER });
    left(&shelf, &[("delivered", 1), ("failed", 1), ("pending", 1)]).await;
    let listed = shelf.listed().await;
    assert_eq!((listed.len(), listed[0].id, listed[2].id), (3, last, open));
    assert_eq!(listed.iter().map(|event| event.seq).collect::<Vec<_>>(), [502, 501, 1]);
}

#[tokio::test]
async fn bytes_are_bounded_and_spooled_bodies_go_with_their_events() {
    let shelf = Shelf::fresh().await;
    let names = || shelf.folder.names("store/spool");
    for _ in 0..4 {
        let id = EventId::now();
        let file = shelf.store().spool().create(id).unwrap();
        file.append(&vec![7; SPOOL_ABOVE + 1]).unwrap();
        file.keep().unwrap();
        let leased = due(event(shelf.endpoint, id, Body::Spooled(file.into())));
        shelf.store().accept(leased).await.unwrap();
        let leased = shelf.lease(9).await.leased.remove(0);
        shelf.settle(leased.lease, 1, 200, Next::Delivered).await;
    }
    shelf.store().flush().await.unwrap();
    assert_eq!(names().len(), 4);
    let bytes = Some(2 * (SPOOL_ABOVE as u64 + 1));
    shelf.store().set_retention(shelf.endpoint, Keep { bytes, ..FOR_EVER });
    left(&shelf, &[("delivered", 2)]).await;
    until("their files are gone", async || names().len() == 2).await;
    let kept: Vec<String> = shelf.listed().await.iter().map(|event| event.id.to_string()).collect();
    assert!(names().iter().all(|name| kept.contains(name)));
}

#[tokio::test]
async fn age_counts_from_the_last_attempt() {
    let shelf = Shelf::fresh().await;
    let old = EventId::first_at(now_ms() - 3_600_000);
    shelf.note(event(shelf.endpoint, old, Body::Memory(Bytes::from_static(b"x"))), 200);
    shelf.answered(200).await;
    shelf.store().set_retention(shelf.endpoint, Keep { age_ms: 1_800_000, ..FOR_EVER });
    shelf.answered(200).await;
    assert_eq!(shelf.listed().await.len(), 3);
    shelf.store().set_retention(shelf.endpoint, Keep { age_ms: 1, ..FOR_EVER });
    left(&shelf, &[]).await;
}

#[tokio::test]
async fn a_deleted_endpoint_goes_bit_by_bit_with_all_that_it_had() {
    let mut shelf = Shelf::fresh().await;
    for _ in 0..300 {
        shelf.note(shelf.event("live"), 200);
    }
    shelf.accept("waits").await;
    let other = endpoint(shelf.store(), "other").await;
    shelf.note(event(other, EventId::now(), Body::Absent(0)), 200);
    shelf.store().flush().await.unwrap();
    shelf.store().delete_endpoint(shelf.endpoint, Actor::program("tests")).await.unwrap();
    shelf.reopen();
    until("it is gone", async || shelf.listed().await.is_empty()).await;
    assert_eq!(shelf.store().counts(other).await.unwrap().len(), 1);
}
