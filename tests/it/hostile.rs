//! Raw HTTP with bad intentions, case by case from `tests/hostile/cases.json`, at a relay and an agent as real programs;
//! and the same at a target that believes everything, to know that the judge sees what there is to see.

mod caller;
mod case;
mod judge;
mod target;

use std::net::SocketAddr;

use relay_tests::agent::command;
use relay_tests::process::Process;
use relay_tests::provider::Provider;
use relay_tests::relay::Relay;
use tokio::task::JoinSet;

use caller::call;
use case::{Case, Place, cases};
use judge::judge;
use target::NaiveTarget;

/// Runs cases side by side and says what is wrong with what came of them, a line each.
async fn run(cases: Vec<Case>, address: SocketAddr, prefix: &str, to: &NaiveTarget) -> Vec<String> {
    let mut calls = JoinSet::new();
    for case in cases {
        let place = Place { address, prefix: prefix.to_owned() };
        let journal = to.journal();
        calls.spawn(async move {
            let heard = call(&case, &place, &journal).await;
            (case, place, heard)
        });
    }
    let called = calls.join_all().await;
    // Whoever could still pass something on has answered this after it.
    let alive = Provider::of(address, prefix).post("/echo", "alive").await;
    assert_eq!(alive.status(), 200, "alive after all that");
    let seen = to.journal().seen();
    let judged = called.iter().flat_map(|(case, place, heard)| {
        let wrong = judge(case, place, heard, &seen);
        wrong.into_iter().map(|why| format!("{}: {why} [{}]", case.name, case.rfc))
    });
    let mut wrong: Vec<String> = judged.collect();
    wrong.sort();
    wrong
}

/// Runs cases through a relay and an agent.
async fn through_the_relay(cases: Vec<Case>) -> Vec<String> {
    let target = NaiveTarget::start().await;
    let relay = Relay::program(&[]).await;
    // An answer that is none is told as such, not queued.
    let endpoint = relay.endpoint_with("hostile", &[("fallback", "fail")]).await;
    let token = relay.token(&["hostile"]).await;
    let mut agent = command(&relay.data, &relay.url(), &token);
    agent.args(["forward", &target.url(), "--endpoint", "hostile", "--quiet"]);
    let mut agent = Process::start(&mut agent);
    agent.event("ready").await;
    run(cases, relay.address, &endpoint.path, &target).await
}

#[tokio::test]
async fn every_hostile_request_gets_what_http_asks_for() {
    let cases: Vec<Case> = cases().into_iter().filter(|case| !case.slow).collect();
    assert_eq!(cases.len(), 70);
    let wrong = through_the_relay(cases).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn callers_that_are_too_slow_are_cut_off() {
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.slow).collect();
    assert_eq!(cases.len(), 3);
    let wrong = through_the_relay(cases).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_target_that_believes_everything_fails_the_same_cases() {
    let target = NaiveTarget::start().await;
    let cases: Vec<Case> = cases().into_iter().filter(|case| !case.slow).collect();
    let address = target.address();
    let wrong = run(cases, address, "", &target).await;
    let fails = |name: &str| wrong.iter().any(|line| line.starts_with(&format!("{name}: ")));
    for name in [
        "cl_te_both",
        "cl_dup_differ",
        "te_xchunked",
        "two_hosts",
        "bare_cr_value",
        "nul_in_value",
        "huge_header_1m",
        "http_2_0_line",
        "fragment_target",
        "upgrade_h2c",
        "dup_cl_resp",
        "hop_resp",
    ] {
        assert!(fails(name), "{name} is not seen:\n{}", wrong.join("\n"));
    }
    assert!(!fails("get_with_body") && !fails("query_exact"), "{}", wrong.join("\n"));
}
