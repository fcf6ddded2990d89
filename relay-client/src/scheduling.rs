//! How the system gives this process its turns. Knows nothing of what is done in them.
//!
//! By default a thread for which something arrives takes the core from whoever is just at work, mostly from the one who is
//! about to send it more. A relay and its agent under load then handle their requests one by one, with a switch of threads
//! for each. Threads that wait until the other's turn is over find a batch.

/// Lets this thread, and those that it starts from now on, wait for a core until whoever has it has come to the end of its
/// turn, a few milliseconds at most, instead of taking it over (`SCHED_BATCH`, sched(7)). A core that is free is taken at
/// once all the same.
///
/// Whoever has started the process with another niceness or another policy has chosen, and is left alone.
#[cfg(target_os = "linux")]
pub fn wait_for_turns() {
    use rustix::process::getpriority_process;
    use thread_priority::unix::{set_thread_priority_and_policy, thread_schedule_policy};
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, thread_native_id,
    };
    /// The library's word for a niceness of 0, which it can only set together with the policy.
    const NOT_NICE: u8 = 47;
    const OTHER: ThreadSchedulePolicy =
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    const BATCH: ThreadSchedulePolicy =
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    if getpriority_process(None) != Ok(0) || thread_schedule_policy() != Ok(OTHER) {
        return;
    }
    let level = ThreadPriority::Crossplatform(NOT_NICE.try_into().expect("a level below 100"));
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), level, BATCH) {
        tracing::debug!(%error, "the threads are scheduled as all others");
    }
}

/// Elsewhere there is no such policy.
#[cfg(not(target_os = "linux"))]
pub fn wait_for_turns() {}
