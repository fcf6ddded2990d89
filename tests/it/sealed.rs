//! The relay's own keys are sealed as well, and all that is sealed can be sealed anew with another key.

use std::path::{Path, PathBuf};

use relay_server::vault::SealKey;
use relay_tests::authority::Authority;
use relay_tests::folder::files_with;
use relay_tests::http2::Caller;
use relay_tests::process::{Ended, Program, run};
use relay_tests::relay::Relay;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

const NAME: &str = "relay.example";
const SECRET: &str = "a-secret-of-a-provider";

/// An ACME server that is not there.
const NOWHERE: &str = "https://localhost:1/dir";
const ACME: [(&str, &str); 3] =
    [("acme_domain", NAME), ("acme_directory", NOWHERE), ("acme_retry", "1h")];

/// Not looked at before the next order.
const ACCOUNT: &str = r#"{"directory":"https://localhost:1/dir","email":null,"credentials":
    {"id":"https://localhost:1/me","key_pkcs8":"VGhlIGtleSB0byBhbiBhY2NvdW50","directory":"https://localhost:1/dir"}}"#;

fn database(store: &Path) -> Connection {
    Connection::open(store.join("relay.db")).unwrap()
}

/// Keeps something as earlier versions did.
fn keep(database: &Connection, name: &str, value: &str) {
    let sql = "INSERT OR REPLACE INTO kept(name, value) VALUES(?1, ?2)";
    database.execute(sql, params![name, value.as_bytes()]).unwrap();
}

/// All that is sealed in a store, as it stands there.
fn sealed(store: &Path) -> Vec<Vec<u8>> {
    let sql = "SELECT sealed FROM secrets UNION ALL SELECT value FROM kept ORDER BY 1";
    let database = database(store);
    let mut select = database.prepare(sql).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What the relay keeps for itself by this name.
pub(crate) fn kept(store: &Path, name: &str) -> Vec<u8> {
    let sql = "SELECT value FROM kept WHERE name = ?1";
    database(store).query_row(sql, [name], |row| row.get(0)).unwrap()
}

async fn server(arguments: &[&str]) -> Ended {
    run(Program::Server.command().args(arguments)).await
}

#[tokio::test]
async fn what_was_kept_unsealed_is_sealed_at_start_and_nothing_is_left_of_it() {
    let mut relay = Relay::program(&ACME).await;
    relay.stop().await;
    let store = relay.data.path().join("store");
    let authority = Authority::fresh();
    let issued = authority.issue("relay", &[NAME]);
    let [chain, key] =
        [&issued.certificate, &issued.key].map(|at| std::fs::read_to_string(at).unwrap());
    let kept = json!({"directory": NOWHERE, "names": [NAME], "chain": chain, "key": key});
    // It stays open, so that what it has written stands in the log of changes as after a crash.
    let database = database(&store);
    for name in ["acme.account", "acme.certificate"] {
        keep(&database, name, &"a shorter one".repeat(3));
    }
    keep(&database, "acme.account", ACCOUNT);
    keep(&database, "acme.certificate", &kept.to_string());
    let keys = ["VGhlIGtleSB0byBhbiBhY2NvdW50", key.lines().nth(1).unwrap()];
    assert!(!files_with(&store, &keys).is_empty(), "the search finds what is there");

    relay.resume_program().await;
    assert_eq!(files_with(&store, &keys), [] as [PathBuf; 0]);
    let caller = Caller::of(&authority, &["http/1.1"]).asking_for(NAME);
    assert_eq!(caller.shown(relay.address).await, issued.der().0, "it is the one that was kept");
    let backup = relay.data.path().join("backup");
    let backup = ["backup", backup.to_str().unwrap(), "--data", store.to_str().unwrap()];
    assert_eq!(server(&backup).await.code, Some(0));
    relay.stop().await;
    drop(database);
    assert_eq!(files_with(relay.data.path(), &keys), [] as [PathBuf; 0]);

    // And the key is the one of this store from then on, though no endpoint has a secret.
    let key = relay.data.path().join("store.key");
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let said = relay.try_resume_program().await.unwrap_err();
    assert!(said.contains("sealed with another key"), "{said}");
    std::fs::remove_file(&key).unwrap();
    let said = relay.try_resume_program().await.unwrap_err();
    assert!(said.contains("holds 2 sealed secrets"), "{said}");
}

#[tokio::test]
async fn without_a_key_no_certificate_is_ordered_and_the_relay_says_how_to_make_one() {
    let mut relay = Relay::program(&ACME).await;
    relay.stop().await;
    std::fs::remove_file(relay.data.path().join("store.key")).unwrap();
    let said = relay.try_resume_program().await.unwrap_err();
    for wanted in ["acme_domain", "openssl rand -base64 32", "--secrets-key-file"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[tokio::test]
async fn everything_is_sealed_anew_with_another_key_and_the_old_one_opens_nothing() {
    let mut relay = Relay::program(&[]).await;
    let wanted = json!({"name": "story", "secrets": [SECRET]});
    relay.api().post("/endpoints", &wanted).await.unwrap();
    let [store, old, new] =
        ["store", "store.key", "new.key"].map(|name| relay.data.path().join(name));
    let (data, fresh) = (store.to_str().unwrap(), new.to_str().unwrap());
    let reseal = ["reseal", "--data", data, "--new-secrets-key-file", fresh];
    let refused = server(&reseal).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("in use by another process"), "{}", refused.stderr);
    relay.stop().await;
    let before = sealed(&store);
    keep(&database(&store), "acme.account", ACCOUNT);

    let done = server(&reseal).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("3 secrets") && done.stdout.contains(fresh), "{}", done.stdout);
    let key = SealKey::read(&new).unwrap();
    let after = sealed(&store);
    let opened = |place: &str| after.iter().find_map(|sealed| key.open(place, sealed));
    assert_eq!(opened("provider/story").unwrap(), SECRET);
    assert!(opened("signing/story").unwrap().starts_with("whsec_"));
    assert_eq!(opened("relay/acme.account").unwrap(), ACCOUNT);
    assert_eq!((before.len(), after.len()), (2, 3));
    assert_eq!(files_with(&store, &before), [] as [PathBuf; 0], "what the old key opens");
    assert_eq!(files_with(&store, &[ACCOUNT]), [] as [PathBuf; 0]);

    let said = relay.try_resume_program().await.unwrap_err();
    assert!(said.contains("sealed with another key"), "{said}");
    std::fs::rename(&new, &old).unwrap();
    relay.resume_program().await;
    let told = relay.api().get("/endpoints/story/secrets").await.unwrap();
    assert_eq!(told.as_array().unwrap().len(), 2);
    let acts = relay.api().get("/audit").await.unwrap();
    let act = &acts["acts"][0];
    let named = json!(["secrets.resealed", "relay-server reseal"]);
    assert_eq!(json!([act["act"], act["name"]]), named, "{acts}");
}

#[tokio::test]
async fn with_a_wrong_old_key_nothing_is_sealed_anew() {
    let mut relay = Relay::program(&[]).await;
    let wanted = json!({"name": "story", "secrets": [SECRET]});
    relay.api().post("/endpoints", &wanted).await.unwrap();
    relay.stop().await;
    let [store, wrong, new] =
        ["store", "wrong.key", "new.key"].map(|name| relay.data.path().join(name));
    let before = sealed(&store);
    SealKey::make(&wrong).unwrap();
    let (data, fresh) = (store.to_str().unwrap(), new.to_str().unwrap());
    let reseal = ["reseal", "--data", data, "--new-secrets-key-file", fresh, "--secrets-key-file"];
    let refused = server(&[&reseal[..], &[wrong.to_str().unwrap()]].concat()).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    let said = refused.stderr;
    assert!(said.contains("sealed with another key") && said.contains("wrong.key"), "{said}");
    let refused = server(&[&reseal[..], &["/nowhere/at/all"]].concat()).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("/nowhere/at/all"), "{refused:?}");
    // One that does not open, among others that do.
    let damage = "UPDATE secrets SET sealed = zeroblob(40) WHERE purpose = 'signing'";
    database(&store).execute_batch(damage).unwrap();
    let refused = server(&reseal[..5]).await;
    assert!(
        refused.code == Some(1) && refused.stderr.contains("of story is damaged"),
        "{refused:?}"
    );
    assert!(before.iter().any(|sealed| self::sealed(&store).contains(sealed)));
    relay.resume_program().await;
    let told: Value = relay.api().get("/endpoints/story/secrets").await.unwrap();
    assert_eq!(told[0]["purpose"], "provider", "{told}");
}
