//! What time it is, what this process has used of a processor and of memory. Owns nothing; must never know why.

use rustix::time::{ClockId, clock_gettime};

use crate::Memory;

/// Nanoseconds of a clock that all processes of this machine share.
#[must_use]
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Processor time that this process has used so far, user and system, all threads, nanoseconds.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

/// Resident memory of this process; zeros where the system does not say.
#[must_use]
pub fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    };
    Memory { rss_kib: kib("VmRSS"), anon_kib: kib("RssAnon") }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_and_memory_is_used() {
        let (clock, used) = (monotonic_ns(), process_cpu_ns());
        let mut sum = 0_u64;
        while process_cpu_ns() == used {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(monotonic_ns() > clock);
        let memory = memory();
        assert!(memory.rss_kib > memory.anon_kib && memory.anon_kib > 10, "{memory:?}");
    }
}
