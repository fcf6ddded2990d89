//! What is gathered from the file, the environment and flags, and what is told of mistakes there.

use super::*;
use crate::config::Config;

fn read(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Config, Problems> {
    let directory = std::env::temp_dir().join(format!("relay-config-{:x}", fastrand::u64(..)));
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("relay.toml");
    std::fs::write(&path, file).unwrap();
    let environment =
        |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let flags = flags.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
    let config = Config::read(gather(Some(&path), environment, &flags));
    std::fs::remove_dir_all(&directory).unwrap();
    config
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "listen = '127.0.0.1:1'\nworkers = 2\nuri_max = '1KiB'\ntrusted_proxies = ['10.0.0.0/8', '::1']";
    let environment = [("RELAY_SERVER_LISTEN", "127.0.0.1:2"), ("RELAY_SERVER_WORKERS", "3")];
    let config = read(file, &environment, &[("listen", "127.0.0.1:3")]).unwrap();
    assert_eq!((config.listen.port(), config.workers, config.uri_max), (3, 3, 1024));
    assert_eq!(config.trusted_proxies.len(), 2);
}

#[test]
fn the_key_for_secrets_is_not_told() {
    let key = "00".repeat(32);
    let config = read("", &[("RELAY_SECRETS_KEY", &key)], &[]).unwrap();
    assert!(matches!(config.secrets_key, KeySource::Text(_)));
    assert!(!format!("{config:?}").contains(&key));
    let file = [("secrets_key_file", "/run/key")];
    let config = read("", &[("RELAY_SECRETS_KEY", &key)], &file).unwrap();
    assert_eq!(format!("{:?}", config.secrets_key), "File(/run/key)");
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let file = "listen = 'nowhere'\ncolour = 'red'\n[in_flight]\n";
    let problems =
        read(file, &[("RELAY_SERVER_WORKERS", "0")], &[("heartbeat", "soon")]).unwrap_err();
    let ends: Vec<bool> = [
        "toml:1: listen",
        "toml:2: no such setting: colour",
        "toml:3: in_flight",
        "environment RELAY_SERVER_WORKERS: workers",
        "flag --heartbeat: heartbeat",
    ]
    .iter()
    .map(|part| problems.0.iter().any(|problem| problem.contains(part)))
    .collect();
    assert_eq!(ends, [true; 5], "{problems}");
    assert_eq!(problems.0.len(), 5, "{problems}");
}

#[test]
fn what_is_set_wins_and_its_problems_name_it_as_it_was_written() {
    let given = |pairs: &[&str]| {
        let flags = BTreeMap::from([("listen", "127.0.0.1:1".to_owned())]);
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        Config::read(gather(None, |_| None, &flags).set(&pairs))
    };
    assert_eq!(given(&["listen=127.0.0.1:2"]).unwrap().listen.port(), 2);
    let problems = given(&["workers=x", "hooks_domain", "shape=round"]).unwrap_err();
    let begins = [
        "flag --set: hooks_domain: NAME=VALUE",
        "flag --set: no such setting: shape",
        "flag --set: workers: ",
    ];
    let all = problems.0.iter().zip(begins);
    assert!(
        problems.0.len() == 3 && all.clone().all(|(told, begin)| told.starts_with(begin)),
        "{problems}"
    );
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let problems = read("listen = 'x'\nbroken =\n", &[], &[]).unwrap_err();
    assert!(problems.0[0].contains("relay.toml:2:"), "{problems}");
}

#[test]
fn a_line_that_dies_before_it_is_asked_makes_no_sense() {
    assert!(read("heartbeat = '10s'\ndead_after = '11s'", &[], &[]).is_err());
}
