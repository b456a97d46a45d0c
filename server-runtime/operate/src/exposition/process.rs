//! What every process tells of itself, by the names that Prometheus' own clients use: memory, processor time, open files,
//! and allocations where the program counts them.

use std::sync::OnceLock;

use super::{Kind, Page};

/// Reads how often memory was allocated since the process began.
static ALLOCATIONS: OnceLock<fn() -> u64> = OnceLock::new();

/// The kernel counts processor time in hundredths of a second, whatever its own clock is.
const TICKS_PER_S: f64 = 100.0;

/// Shows a count of allocations from now on, in a program whose allocator keeps one. A second call changes nothing.
pub fn count_allocations(read: fn() -> u64) {
    let _ = ALLOCATIONS.set(read);
}

/// Appends them to a page; those that this system does not tell are left out.
pub fn write(text: &mut String) {
    let mut page = Page::new();
    if let Some(bytes) = resident_bytes() {
        page.one("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", bytes);
    }
    if let Some(seconds) = cpu_seconds() {
        page.one("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.", seconds);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.one("process_open_fds", Kind::Gauge, "Open files and sockets.", files.count());
    }
    if let Some(read) = ALLOCATIONS.get() {
        page.one("process_allocations_total", Kind::Counter, "Allocations of memory.", read());
    }
    text.push_str(&page.finish());
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_size() {
        count_allocations(|| 7);
        let mut text = String::new();
        write(&mut text);
        let families = super::super::parse(&text).expect("sound");
        let value = |name: &str| families[name].samples[0].value;
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!((0.0..1e6).contains(&value("process_cpu_seconds_total")));
        assert!(value("process_open_fds") >= 3.0);
        assert_eq!(value("process_allocations_total"), 7.0);
    }
}
