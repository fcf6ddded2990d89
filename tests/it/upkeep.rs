//! A store is backed up while the relay runs, restored somewhere else, and looked over.

use relay_server::store::records::Keep;
use relay_tests::journey::Journey;
use relay_tests::process::{Ended, Program, run};
use relay_tests::relay::Relay;
use relay_tests::shelf::Shelf;
use relay_tests::target::Target;
use relay_tests::wait::until;

async fn server(arguments: &[&str]) -> Ended {
    run(Program::Server.command().args(arguments)).await
}

/// The path of something in the relay's folder.
fn path(relay: &Relay, name: &str) -> String {
    relay.data.path().join(name).display().to_string()
}

#[tokio::test]
async fn a_backup_of_a_running_relay_is_a_whole_store_elsewhere() {
    let mut journey = Journey::to(Target::answering(200, "ok").await).await;
    let large: Vec<u8> = (0..700_000u32).map(|n| (n % 253) as u8).collect();
    journey.through().post("/small", "small").await;
    journey.through().post("/large", &large).await;
    let relay = &mut journey.relay;
    until("they are stored", async || {
        relay.api().get("/events").await.unwrap()["events"].as_array().unwrap().len() == 2
    })
    .await;
    let (store, file, other) = (path(relay, "store"), path(relay, "backup"), path(relay, "other"));
    let made = server(&["backup", &file, "--data", &store]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert_eq!(server(&["backup", &file, "--data", &store]).await.code, Some(1));
    let restored = server(&["restore", &file, "--data", &other]).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    let sound = server(&["check", "--data", &other]).await;
    assert_eq!((sound.code, sound.stdout.contains("2 events")), (Some(0), true), "{sound:?}");
    assert_eq!(server(&["restore", &file, "--data", &store]).await.code, Some(1));
    relay.stop().await;
    std::fs::rename(&store, path(relay, "gone")).unwrap();
    std::fs::rename(&other, &store).unwrap();
    relay.resume().await;
    let page = relay.api().get("/events").await.unwrap();
    assert_eq!(page["events"][1]["path"], "/small");
    let id = page["events"][0]["id"].as_str().unwrap().to_owned();
    assert!(relay.api().bytes(&format!("/events/{id}/body")).await.unwrap() == large);
}

#[tokio::test]
async fn a_sound_store_is_sound_also_while_retention_works_on_it() {
    let shelf = Shelf::fresh().await;
    for _ in 0..300 {
        shelf.note(shelf.event("live"), 500);
    }
    shelf.accept("waits").await;
    let keep = Keep { age_ms: u64::MAX, events: Some(7), bytes: None };
    shelf.store().set_retention(shelf.endpoint, keep);
    let store = shelf.folder.path().join("store").display().to_string();
    until("retention has done its work", async || {
        let sound = server(&["check", "--data", &store]).await;
        assert_eq!(sound.code, Some(0), "{sound:?}");
        shelf.listed().await.len() == 7
    })
    .await;
}

#[tokio::test]
async fn every_damage_is_told() {
    let mut shelf = Shelf::fresh().await;
    let (one, _, three) =
        (shelf.answered(500).await, shelf.answered(500).await, shelf.accept("x").await);
    shelf.close();
    let store = shelf.folder.path().join("store");
    let hex = |id: relay_protocol::id::EventId| -> String {
        id.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect()
    };
    let damage = format!(
        "DELETE FROM payloads WHERE n = 1; DELETE FROM events WHERE seq = 2;
         UPDATE deliveries SET due_ms = NULL WHERE event = x'{}';
         UPDATE counts SET n = n + 1 WHERE state = 'pending'",
        hex(three)
    );
    let database = rusqlite::Connection::open(store.join("relay.db")).unwrap();
    database.execute_batch(&damage).unwrap();
    drop(database);
    let found = server(&["check", "--data", &store.display().to_string()]).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    for wanted in [
        format!("an event without its payload: {}", hex(one)),
        "a delivery without its event".to_owned(),
        "a delivery that waits for nothing".to_owned(),
        "a count that is wrong (endpoint, group, state, counted, there): 1 main pending 2 1"
            .to_owned(),
        "sequence numbers that retention does not explain".to_owned(),
    ] {
        assert!(found.stdout.contains(&wanted), "{wanted}: {}", found.stdout);
    }
}
