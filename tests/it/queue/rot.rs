//! The disk changes what the store wrote: flipped bits, torn ends. Nobody is ever given something else than was posted.

use std::path::{Path, PathBuf};

use relay_tests::process::{Program, run};
use relay_tests::relay::Relay;
use relay_tests::target::Target;

use super::Waiting;

const ACK: (&str, &str) = ("reply", "ack");

/// How many stores are torn, each at a place of its own.
const TORN: u64 = 12;

fn store(relay: &Relay) -> PathBuf {
    relay.data.path().join("store")
}

/// Flips one bit of the file, in the middle of where these bytes are.
fn flip(file: &Path, within: &[u8]) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(within.len()).position(|there| there == within).expect("they are there");
    bytes[at + within.len() / 2] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
}

/// What `relay-server check` finds.
async fn check(relay: &Relay) -> (Option<i32>, String) {
    let checked = run(Program::Server.command().arg("check").arg("--data").arg(store(relay))).await;
    (checked.code, checked.stdout)
}

#[tokio::test]
async fn what_the_disk_has_changed_is_found_and_delivered_to_nobody() {
    let mut story = Waiting::with(&[ACK, ("order", "endpoint")]).await;
    let (small, head) = ("the small body of an event", "/hook/whose/path/is/known");
    let large: Vec<u8> = (0..700_000u32).flat_map(u32::to_be_bytes).collect();
    let mut ids = vec![story.take(small).await, story.take(&large).await];
    let mut provider = story.relay.provider(&story.endpoint);
    ids.push(super::taken(&provider.post(head, "a body that is well").await));
    ids.push(story.take("sound").await);
    story.relay.stop().await;
    assert_eq!(check(&story.relay).await.0, Some(0));
    let database = rusqlite::Connection::open(store(&story.relay).join("relay.db")).unwrap();
    let whole = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    assert_eq!(whole, Ok(0), "all is in the database itself");
    drop(database);
    flip(&store(&story.relay).join("relay.db"), small.as_bytes());
    flip(&store(&story.relay).join("relay.db"), head.as_bytes());
    flip(&store(&story.relay).join("spool").join(&ids[1]), &500_000u32.to_be_bytes());
    let (code, told) = check(&story.relay).await;
    assert_eq!(code, Some(1), "{told}");
    for id in &ids[..3] {
        assert!(told.contains(&format!("{id} is not what it was")), "{id}: {told}");
    }
    assert!(!told.contains(&ids[3]), "{told}");
    story.relay.resume().await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert_eq!(target.has_seen(1).await[0].text(), "sound");
    let ledger = story.ledger();
    ledger.reads(&["dead", "dead", "dead", "delivered"]).await;
    for delivery in &ledger.deliveries()[..3] {
        assert_eq!(delivery.code.as_deref(), Some("corrupt"), "{delivery:?}");
        let path = format!("/events/{}/body", delivery.event);
        assert!(story.relay.api().bytes(&path).await.is_err());
    }
}

#[tokio::test]
async fn an_event_that_is_gone_from_the_store_stops_no_other() {
    let mut story = Waiting::with(&[ACK]).await;
    story.take("gone").await;
    story.take("there").await;
    story.relay.stop().await;
    let database = rusqlite::Connection::open(store(&story.relay).join("relay.db")).unwrap();
    database.execute_batch("DELETE FROM payloads WHERE n = 1").unwrap();
    drop(database);
    story.relay.resume().await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert_eq!(target.has_seen(1).await[0].text(), "there");
    story.ledger().reads(&["dead", "delivered"]).await;
}

#[tokio::test]
async fn a_log_that_is_torn_anywhere_leaves_a_store_that_is_sound_or_is_refused() {
    let mut story = Waiting::on(Relay::program(&[]).await, &[ACK]).await;
    let log =
        |folder: &std::path::Path| std::fs::metadata(folder.join("relay.db-wal")).unwrap().len();
    let made = log(&store(&story.relay));
    for n in 0..30 {
        story.take(format!("{n} {}", "x".repeat(n * 200))).await;
    }
    story.relay.process().kill().await;
    let (here, aside) = (store(&story.relay), story.relay.data.path().join("aside"));
    std::fs::rename(&here, &aside).unwrap();
    let length = log(&aside);
    for n in 0..TORN {
        let _ = std::fs::remove_dir_all(&here);
        std::fs::create_dir_all(here.join("spool")).unwrap();
        for name in ["relay.db", "relay.db-wal"] {
            std::fs::copy(aside.join(name), here.join(name)).unwrap();
        }
        let wal = std::fs::File::options().write(true).open(here.join("relay.db-wal")).unwrap();
        // Every second one ends in what a torn write leaves: zeros.
        // The last one, which is served from, leaves the endpoint that was made before the events.
        let cut = fastrand::u64(if n + 1 < TORN { 0 } else { made }..length);
        wal.set_len(cut).unwrap();
        if n % 2 == 1 {
            wal.set_len(length).unwrap();
        }
        let (code, told) = check(&story.relay).await;
        assert_eq!(code, Some(0), "cut at {cut} of {length}: {told}");
    }
    story.relay.resume_program().await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let kept = story.ledger().deliveries().len();
    for seen in target.has_seen(kept).await {
        let text = seen.text();
        let n: usize = text.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(text, format!("{n} {}", "x".repeat(n * 200)));
    }
}

#[tokio::test]
async fn a_database_that_is_damaged_is_never_believed() {
    let mut story = Waiting::on(Relay::program(&[]).await, &[ACK]).await;
    let body = |n: usize| format!("{n} {}", "x".repeat(n * 100));
    for n in 0..40 {
        story.take(body(n)).await;
    }
    story.relay.stop().await;
    let target = Target::echo().await;
    let database = store(&story.relay).join("relay.db");
    let whole = std::fs::read(&database).unwrap();
    for round in 0..6 {
        let mut bytes = whole.clone();
        for _ in 0..=round {
            let at = fastrand::usize(0..bytes.len());
            bytes[at] ^= 1 << fastrand::u8(0..8);
        }
        std::fs::write(&database, &bytes).unwrap();
        // It starts, or says why it does not.
        if let Err(said) = story.relay.try_resume_program().await {
            assert!(said.contains("store"), "{said}");
            continue;
        }
        let wanted = story.wanted(&target);
        let agent = relay_tests::agent::Agent::begin(&wanted);
        let some = std::time::Duration::from_secs(2);
        relay_tests::wait::holds_within(some, async || target.seen().len() >= 40).await;
        agent.stop().await;
        story.relay.process().kill().await;
    }
    for seen in target.seen() {
        let text = seen.text();
        let n: usize = text.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(text, body(n));
    }
}
