//! Lines that wait to be written, bounded in bytes: when the disk stalls, further lines are dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// What may wait: enough for some 10,000 lines of the access log.
const MAX_BYTES: usize = 8 << 20;
/// What a line counts beside its text. It bounds the number of lines, too, for which a place of 40 bytes each is there from the
/// beginning.
const LINE_COST: usize = 512;

/// Lines that were dropped since the program started, of all queues.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines were dropped since the program started.
pub(super) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// Accepts lines; one `write` is one line.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    lines: NonBlocking,
    waiting: Arc<Waiting>,
}

/// Writes the lines, in a thread of its own.
struct Drain<W, F> {
    writer: W,
    waiting: Arc<Waiting>,
    report: F,
}

/// A queue before `writer`. `report` is called with the number of lines that were dropped, as soon as there is room again.
pub(super) fn queue<W, F>(writer: W, report: F) -> (Queue, WorkerGuard)
where
    W: Write + Send + 'static,
    F: FnMut(u64) + Send + 'static,
{
    let waiting = Arc::new(Waiting::default());
    let drain = Drain {
        writer,
        waiting: Arc::clone(&waiting),
        report,
    };
    // More lines than the bytes allow, so that its own limit is never met.
    let (lines, worker) = NonBlockingBuilder::default()
        .thread_name("log")
        .buffered_lines_limit(MAX_BYTES / LINE_COST + 1)
        .finish(drain);
    (Queue { lines, waiting }, worker)
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let cost = line.len() + LINE_COST;
        let bytes = &self.waiting.bytes;
        let room = bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
            (bytes + cost <= MAX_BYTES).then_some(bytes + cost)
        });
        if room.is_err() {
            self.waiting.dropped.fetch_add(1, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        self.lines.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

impl<W: Write, F: FnMut(u64)> Write for Drain<W, F> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.writer.write_all(line);
        let cost = line.len() + LINE_COST;
        let before = self.waiting.bytes.fetch_sub(cost, Ordering::Relaxed);
        // Later than with the first room, so that the report itself finds some.
        if before < MAX_BYTES / 2 {
            match self.waiting.dropped.swap(0, Ordering::Relaxed) {
                0 => {}
                dropped => (self.report)(dropped),
            }
        }
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A disk that stalls until something is sent.
    struct Stalled {
        go_on: Receiver<()>,
        written: Arc<Mutex<Vec<usize>>>,
    }

    impl Write for Stalled {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // An error means that nobody holds it back any more.
            let _ = self.go_on.recv();
            self.written.lock().unwrap().push(line.len());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_disk_costs_a_bounded_memory_and_drops_are_told() {
        for length in [1, 100, 60_000] {
            let before = dropped();
            let (release, go_on) = channel();
            let written = Arc::new(Mutex::new(Vec::new()));
            let told = Arc::new(Mutex::new(Vec::new()));
            let writer = Stalled {
                go_on,
                written: Arc::clone(&written),
            };
            let report = {
                let told = Arc::clone(&told);
                move |dropped| told.lock().unwrap().push(dropped)
            };
            let (mut queue, worker) = queue(writer, report);
            let line = vec![b'x'; length];
            let count = 2 * MAX_BYTES / (length + LINE_COST);
            for _ in 0..count {
                queue.write_all(&line).unwrap();
            }
            let waiting = queue.waiting.bytes.load(Ordering::Relaxed);
            assert!(waiting <= MAX_BYTES && waiting > MAX_BYTES / 2, "{waiting}");
            drop(release);
            drop(worker);
            let written = written.lock().unwrap();
            let told = told.lock().unwrap();
            assert!(written.iter().all(|bytes| *bytes == length));
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(written.len() as u64 + told[0], count as u64);
            assert!(dropped() - before >= told[0]);
            assert_eq!(queue.waiting.bytes.load(Ordering::Relaxed), 0);
        }
    }
}
