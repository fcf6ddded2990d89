//! A store with a million events: how long it takes to list the latest failed ones, to open it after a crash, and for how
//! long anybody waits for a commit while half of it is deleted. `EVENTS=n` makes it smaller.

use std::time::{Duration, Instant};

use relay_protocol::id::Name;
use relay_server::delivery::State;
use relay_server::store::StoreError;
use relay_server::store::records::{EventFilter, Keep, Lease, Next, Start};
use relay_tests::shelf::{Shelf, accepting, settlement};

/// How often somebody waits for a commit meanwhile.
const COMMIT_EVERY: Duration = Duration::from_millis(5);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let events: u64 = std::env::var("EVENTS").map_or(1_000_000, |n| n.parse().expect("a number"));
    let mut shelf = Shelf::fresh().await;
    fill(&shelf, events).await;

    let mut filter = EventFilter::of(vec![shelf.endpoint]);
    filter.states = vec![State::Failed];
    for round in ["first", "again"] {
        let began = Instant::now();
        let page = shelf.store().page(filter.clone(), 50).await.expect("a page");
        println!("the latest {} failed of {events}, {round}: {:.1?}", page.len(), began.elapsed());
    }
    let began = Instant::now();
    let waits = shelf.store().backlog(shelf.endpoint, Name::main()).await.expect("a backlog");
    println!("a backlog of {}: {:.1?}", waits.count, began.elapsed());
    let began = Instant::now();
    shelf.reopen();
    println!("closed and opened again: {:.1?}", began.elapsed());

    let quiet = longest_commit(&shelf, async |_| began.elapsed() > Duration::from_secs(5)).await;
    println!("with nothing to delete, the longest of {} commits: {:.1?}", quiet.0, quiet.1);
    let keep = Keep { age_ms: u64::MAX, events: Some(events / 2), bytes: None };
    shelf.store().set_retention(shelf.endpoint, keep);
    let began = Instant::now();
    let busy = longest_commit(&shelf, async |shelf: &Shelf| {
        let counts = shelf.store().counts(shelf.endpoint).await.expect("they are read");
        counts.iter().map(|count| count.n).sum::<u64>() <= events / 2 + 1
    })
    .await;
    println!(
        "deleting half took {:.1?}; the longest of {} commits: {:.1?}",
        began.elapsed(),
        busy.0,
        busy.1
    );
}

/// One event in twenty has failed; each has a body of 1 KB.
async fn fill(shelf: &Shelf, events: u64) {
    let body = "x".repeat(1024);
    for n in 0..events {
        let event = shelf.event(&body);
        let lease = Lease::new(shelf.endpoint, event.head.id, Name::main());
        loop {
            let event =
                relay_tests::shelf::event(shelf.endpoint, event.head.id, event.body.clone());
            match shelf.store().note(accepting(event, Start::Live(lease.token))) {
                Err(StoreError::Overloaded) => tokio::time::sleep(Duration::from_millis(1)).await,
                noted => break noted.expect("it is noted"),
            }
        }
        let (status, next) = if n % 20 == 0 { (500, Next::Failed) } else { (200, Next::Delivered) };
        shelf.store().settle(settlement(lease, 1, status, next));
    }
    shelf.store().flush().await.expect("it is written");
}

/// Accepts an event every now and then until that is enough: how many, and how long the slowest took to be durable.
async fn longest_commit(shelf: &Shelf, enough: impl AsyncFn(&Shelf) -> bool) -> (u64, Duration) {
    let (mut commits, mut longest) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        shelf.answered(200).await;
        (commits, longest) = (commits + 1, longest.max(began.elapsed()));
        tokio::time::sleep(COMMIT_EVERY).await;
        if commits % 50 == 0 && enough(shelf).await {
            return (commits, longest);
        }
    }
}
