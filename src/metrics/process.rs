//! The process as Linux shows it in `/proc`, under the names that Prometheus' own libraries give it.

use std::fmt;
use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::families::Families;

/// What `/proc/self/stat` says (proc_pid_stat(5)).
struct Stat {
    cpu_seconds: f64,
    threads: u64,
    /// Seconds since the system started.
    started: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The name of the program may have blanks and parentheses. Behind it stands the third field.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        Some(Stat {
            cpu_seconds: seconds(number(14)? + number(15)?),
            threads: number(20)?,
            started: seconds(number(22)?),
            virtual_bytes: number(23)?,
            resident_bytes: number(24)?.saturating_mul(page_size() as u64),
        })
    }
}

/// When the system started, in seconds since 1970.
fn boot_time(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Writes what the system tells; what it does not tell is left out.
pub(super) fn write(families: &mut Families<'_>) -> fmt::Result {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    if let Some(stat) = stat.and_then(|text| Stat::parse(&text)) {
        families.counter(
            "process_cpu_seconds",
            "Seconds of the processor that the process has used.",
            stat.cpu_seconds,
        )?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory that is in use.",
                stat.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Memory that is addressed.",
                stat.virtual_bytes,
            ),
            ("process_threads", "Threads.", stat.threads),
        ] {
            families.gauge(name, help, value)?;
        }
        let booted = fs::read_to_string("/proc/stat").ok();
        if let Some(booted) = booted.and_then(|text| boot_time(&text)) {
            families.gauge(
                "process_start_time_seconds",
                "When the process was started, in seconds since 1970.",
                booted + stat.started,
            )?;
        }
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        families.gauge("process_open_fds", "Open files.", files.count() as u64)?;
    }
    match getrlimit(Resource::Nofile).current {
        Some(files) => families.gauge("process_max_fds", "The limit on open files.", files),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let text = fs::read_to_string("/proc/self/stat").unwrap();
        let stat = Stat::parse(&text).unwrap();
        assert!(stat.threads >= 1 && stat.resident_bytes > 1 << 20, "{text}");
        assert!(stat.virtual_bytes >= stat.resident_bytes, "{text}");
        assert!(boot_time(&fs::read_to_string("/proc/stat").unwrap()).unwrap() > 1e9);
        let odd = "1 (a) b (c) S 1 1 1 0 -1 4 1 0 0 0 300 200 0 0 20 0 7 0 1000 4096 2 18";
        let stat = Stat::parse(odd).unwrap();
        assert_eq!(stat.threads, 7);
        let ticks = clock_ticks_per_second() as f64;
        assert_eq!(stat.cpu_seconds, 500.0 / ticks);
        assert_eq!(stat.virtual_bytes, 4096);
        assert!(Stat::parse("1 (a) S 1").is_none() && Stat::parse("").is_none());
    }
}
