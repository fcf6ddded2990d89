//! What programs cost: CPU time and memory, as the kernel counts them.

use std::time::Duration;

use rustix::param::clock_ticks_per_second;

/// CPU time of this thread.
///
/// # Panics
/// When the kernel does not tell.
#[must_use]
pub fn cpu_of_this_thread() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts");
    let nanoseconds = stat.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

/// CPU time of a process and its children, all threads, also those that are gone.
#[must_use]
pub fn cpu(process: u32) -> Duration {
    let mut ticks = stat(process).map_or(0, |(_, ticks)| ticks);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().parse().ok();
        if let Some((parent, child)) = id.and_then(stat)
            && parent == process
        {
            ticks += child;
        }
    }
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

/// A process's parent and CPU time in ticks.
fn stat(process: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)?))
}

/// CPU time of the whole machine.
///
/// # Panics
/// When the kernel does not tell.
#[must_use]
pub fn cpu_of_the_machine() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").expect("the kernel counts");
    let all: Vec<u64> =
        stat.lines().next().unwrap_or("").split(' ').filter_map(|n| n.parse().ok()).collect();
    // User, nice, system; idle and waiting are left out; interrupts; steal is what other machines take.
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| all.get(*at)).sum();
    Duration::from_secs_f64(busy as f64 / clock_ticks_per_second() as f64)
}

/// Memory of a process that is in RAM, in bytes.
///
/// # Panics
/// When it is gone.
#[must_use]
pub fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line for it");
    let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    kilobytes.expect("a number") * 1024
}
