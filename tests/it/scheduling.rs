//! How the system treats both programs: their threads leave a core to whoever is at work on it, unless somebody has chosen
//! otherwise, and their memory comes page by page.

use relay_tests::agent::command;
use relay_tests::folder::Folder;
use relay_tests::process::Process;
use relay_tests::relay::Relay;
use relay_tests::target::Target;

/// The kernel's numbers for two policies (sched(7)).
const OTHER: i64 = 0;
const BATCH: i64 = 3;

/// The niceness and the policy of every thread of a process, as the kernel tells them (proc_pid_stat(5), fields 19 and 41).
fn scheduled(process: u32) -> Vec<(i64, i64)> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let stats = threads.filter_map(|thread| {
        std::fs::read_to_string(thread.expect("a thread").path().join("stat")).ok()
    });
    let of = |stat: String| {
        // The name before it may have any characters; what follows begins with the third field.
        let fields: Vec<&str> =
            stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let field = |number: usize| fields[number - 3].parse().expect("a number");
        (field(19), field(41))
    };
    stats.map(of).collect()
}

/// What a program is to do that is started as these tests are.
fn expected() -> (i64, i64) {
    let own = scheduled(std::process::id())[0];
    if own == (0, OTHER) { (0, BATCH) } else { own }
}

/// A relay and an agent that run; both end with what is handed back.
async fn both() -> (Relay, Process, Folder) {
    let relay = Relay::program(&[]).await;
    let target = Target::answering(200, "here").await;
    let folder = Folder::fresh();
    relay.endpoint("app").await;
    let token = relay.token(&["app"]).await;
    let mut command = command(&folder, &relay.url(), &token);
    command.args(["forward", &target.url(), "--endpoint", "app"]);
    let mut agent = Process::start(&mut command);
    agent.event("ready").await;
    (relay, agent, folder)
}

#[tokio::test]
async fn the_threads_of_relay_and_agent_wait_for_their_turns() {
    let (mut relay, agent, _folder) = both().await;
    for process in [relay.process().id(), agent.id()] {
        let threads = scheduled(process);
        let turns = threads.iter().filter(|thread| **thread == expected()).count();
        // The one that shows people what happens was there before.
        assert!(turns > 0 && turns + 1 >= threads.len(), "{threads:?}");
    }
}

#[tokio::test]
async fn the_memory_of_relay_and_agent_comes_page_by_page() {
    let (mut relay, agent, _folder) = both().await;
    for process in [relay.process().id(), agent.id()] {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
        // Kernels before 5.0 do not say.
        let told = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        assert!(told.is_none_or(|told| told.trim() == "0"), "{told:?}");
    }
}

#[tokio::test]
async fn whoever_has_chosen_a_niceness_is_left_alone() {
    let mut relay = Relay::program(&[]).await;
    relay.stop().await;
    relay.under = ["nice", "-n", "5"].map(str::to_owned).to_vec();
    relay.resume_program().await;
    let (own_niceness, own_policy) = scheduled(std::process::id())[0];
    let chosen = ((own_niceness + 5).min(19), own_policy);
    let threads = scheduled(relay.process().id());
    assert!(threads.iter().all(|thread| *thread == chosen), "{threads:?}");
}
