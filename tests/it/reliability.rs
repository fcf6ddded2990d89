//! What the relay has promised is kept, whatever breaks: a few rounds of each scene. `tests/chaos/run` plays more.

mod lossy;

use std::sync::Arc;
use std::time::Duration;

use relay_tests::chaos::keeper::Keeper;
use relay_tests::chaos::ledger::{Ledger, Verdict};
use relay_tests::chaos::scenes::{self, Report};
use relay_tests::chaos::senders::Senders;
use relay_tests::journey::Journey;
use relay_tests::raw::Written;
use relay_tests::target::Target;
use relay_tests::wait::until;
use tokio::sync::{Semaphore, watch};

use lossy::{Lossy, Vice};

/// Two scenes at a time: each keeps the machine busy, and each has to wait now and then.
static STAGE: Semaphore = Semaphore::const_new(2);

/// How many rounds a story plays.
const ROUNDS: u32 = 6;

async fn holds(scene: impl Future<Output = Report>) {
    let _turn = STAGE.acquire().await.expect("it is never closed");
    let report = scene.await;
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}

/// The same for a scene that takes a tool which may not be there.
async fn holds_where_possible(name: &str, scene: impl Future<Output = Result<Report, String>>) {
    let _turn = STAGE.acquire().await.expect("it is never closed");
    match scene.await {
        Ok(report) => {
            assert!(report.is_clean(), "{report}");
            println!("{report}");
        }
        Err(why) => println!("skipped, {name}: {why}"),
    }
}

#[tokio::test]
async fn nothing_is_lost_when_the_relay_is_killed() {
    holds(scenes::relay_killed(ROUNDS)).await;
}

#[tokio::test]
async fn order_holds_when_the_relay_is_killed() {
    holds(scenes::relay_killed_in_order(ROUNDS)).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_agent_is_killed() {
    holds(scenes::agent_killed(ROUNDS)).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_target_is_down_or_ill() {
    holds(scenes::target_fails(1)).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_line_breaks() {
    holds(scenes::line_breaks(1)).await;
}

#[tokio::test]
async fn nothing_is_promised_while_the_disk_is_full_and_service_goes_on_by_itself() {
    holds_where_possible("a full disk", scenes::disk_full(2)).await;
}

#[tokio::test]
async fn nothing_is_lost_when_a_sync_fails_and_service_goes_on_by_itself() {
    holds_where_possible("syncs that fail", scenes::sync_fails([1, 2, 3, 5, 8, 13])).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_relay_is_killed_at_an_exact_sync() {
    let ns = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 27, 37, 52];
    holds_where_possible("the relay killed at a sync", scenes::killed_at_sync(ns)).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_power_fails() {
    holds_where_possible("power that fails", scenes::power_fails(ROUNDS)).await;
}

#[tokio::test]
async fn a_clock_that_is_set_neither_loses_nor_storms() {
    holds_where_possible("a clock that is set", scenes::clock_jumps(1)).await;
}

/// Posts through a relay of this vice until it had every chance to show it, and checks.
async fn judged(vice: Vice) -> Verdict {
    let ledger = Arc::<Ledger>::default();
    let keeper = Keeper::start(&ledger).await;
    let lossy = Lossy::start(vice, keeper.address).await;
    let (_up, watched) = watch::channel(true);
    let (to, endpoints) = (lossy.address, lossy.endpoints());
    let senders = Senders::start(&ledger, to, &endpoints, 0..2, Duration::ZERO, &watched);
    until("enough was posted", async || ledger.promised() >= 200).await;
    senders.stop().await;
    lossy.delivered().await;
    ledger.check()
}

#[tokio::test]
async fn the_checker_has_nothing_to_say_of_a_good_relay() {
    let verdict = judged(Vice::None).await;
    assert!(verdict.is_clean() && verdict.duplicates == 0, "{verdict}");
    assert_eq!(verdict.delivered, verdict.posted, "{verdict}");
}

#[tokio::test]
async fn the_checker_sees_what_a_bad_relay_does() {
    for vice in
        [Vice::Drops, Vice::Cuts, Vice::Flips, Vice::Misdirects, Vice::Repeats, Vice::Renames]
    {
        let verdict = judged(vice).await;
        let seen = [
            (Vice::Drops, !verdict.lost.is_empty()),
            (Vice::Cuts, !verdict.corrupt.is_empty()),
            (Vice::Flips, !verdict.corrupt.is_empty()),
            (Vice::Misdirects, !verdict.misdirected.is_empty()),
            (Vice::Repeats, verdict.duplicates > 0),
            (Vice::Renames, !verdict.renamed.is_empty()),
        ];
        let (_, seen) = seen.into_iter().find(|(of, _)| *of == vice).unwrap();
        assert!(seen, "{vice:?}: {verdict}");
        assert_eq!(verdict.is_clean(), vice == Vice::Repeats, "{vice:?}: {verdict}");
    }
}

#[tokio::test]
async fn the_checker_sees_what_comes_late() {
    let verdict = judged(Vice::Delays).await;
    assert!(verdict.is_clean() && !verdict.reordered.is_empty(), "{verdict}");
}

#[tokio::test]
async fn a_success_that_breaks_off_is_tried_again() {
    let settings = [("reply", "ack"), ("retry", "0ms")];
    let journey = Journey::with(Target::by_hand().await, &[], &settings).await;
    assert_eq!(journey.through().post("", "event").await.status(), 202);
    let (first, mut connection) = journey.target.asked().await;
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await;
    connection.send([b'x'; 50_000]).await;
    drop(connection);
    let (again, mut connection) = journey.target.asked().await;
    connection.send(Written::answer(200).bytes()).await;
    let id = "webhook-relay-event-id";
    assert_eq!(again.field("webhook-relay-attempt").as_deref(), Some("2"));
    assert_eq!((again.field(id), again.body), (first.field(id), first.body));
}
