//! Processes whose use of the machine is shown, by what Linux says of them.

use std::fs;

use anyhow::Context;

/// Clock ticks of processor time in a second, which is fixed on Linux.
const TICKS: f64 = 100.0;

/// Some processes since a moment.
pub(crate) struct Watched {
    pids: Vec<u32>,
    /// Processor time at the beginning, in seconds.
    before: f64,
    most_memory: f64,
    most_files: usize,
}

impl Watched {
    pub(crate) fn new(pids: &[u32]) -> anyhow::Result<Watched> {
        let mut watched = Watched {
            pids: pids.to_vec(),
            before: 0.0,
            most_memory: 0.0,
            most_files: 0,
        };
        watched.before = watched.processor_time()?;
        Ok(watched)
    }

    /// What they use now, as the end of a line.
    pub(crate) fn look(&mut self) -> anyhow::Result<String> {
        if self.pids.is_empty() {
            return Ok(String::new());
        }
        let (mut memory, mut files) = (0.0, 0);
        for pid in &self.pids {
            memory += memory_of(*pid)?;
            files += fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        }
        self.most_memory = self.most_memory.max(memory);
        self.most_files = self.most_files.max(files);
        let time = self.processor_time()? - self.before;
        Ok(format!(
            ", {memory:.0} MiB, {files} files, {time:.1} s of processor time"
        ))
    }

    /// What they took for so many seconds of schedulers that poll in this interval.
    pub(crate) fn summary(&mut self, polled: f64, interval: f64) -> anyhow::Result<String> {
        if self.pids.is_empty() {
            return Ok(String::new());
        }
        self.look()?;
        let time = self.processor_time()? - self.before;
        Ok(format!(
            "The processes that were watched took {time:.1} s of processor time, {:.0} MiB and {} open files at most.\n\
             One core of theirs carries {:.0} schedulers that poll every {interval} s.",
            self.most_memory,
            self.most_files,
            polled / time
        ))
    }

    fn processor_time(&self) -> anyhow::Result<f64> {
        self.pids.iter().map(|pid| processor_time_of(*pid)).sum()
    }
}

fn processor_time_of(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, behind_name) = stat.rsplit_once(") ").context("no name in a stat file")?;
    let ticks = behind_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

/// Resident memory in MiB.
fn memory_of(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("a process has no memory")?.parse::<f64>()? / 1024.0)
}
