//! The pace of refusals. A request that is refused can cost nearly as much as one that is served, and needs no right, no token and no
//! connection to the database, for which callers have shares. So all refusals together get a part of the processors: who sends one
//! now and then has its answer at once, who does nothing else waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Refusals have the time of one in so many processors.
pub const PROCESSORS_FOR_REFUSALS: u32 = 4;
/// What one takes besides its handler: to read its header, to write its answer and its line in the log.
const OVERHEAD: Duration = Duration::from_micros(100);
/// What they may take at once after a quiet time.
const CREDIT: Duration = Duration::from_millis(20);
/// The longest that an answer is kept back, however many there are.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// When the next refusal is due, for the whole service.
#[derive(Debug)]
pub struct Refusals {
    due: Mutex<Instant>,
    processors: u32,
}

impl Refusals {
    /// The pace that suits this machine.
    pub fn new() -> Refusals {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Refusals {
            due: Mutex::new(Instant::now()),
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
        }
    }

    /// For how long the answer of a refusal is kept back that took so much work.
    pub(super) fn delay(&self, worked: Duration, now: Instant) -> Duration {
        let part = (worked + OVERHEAD) * PROCESSORS_FOR_REFUSALS / self.processors;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = ((*due).max(now) + part).min(now + CREDIT + MAX_DELAY);
        due.saturating_duration_since(now).saturating_sub(CREDIT)
    }
}

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals::new()
    }
}

/// How long a request was worked on in a task of its own.
#[derive(Clone, Copy)]
pub(super) struct Worked(pub(super) Duration);

/// Does a piece of work, and says for how long it was worked on, without the time in which it waited.
pub(super) async fn measured<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = pin!(work);
    let mut worked = Duration::ZERO;
    let done = poll_fn(|context| {
        let begun = Instant::now();
        let polled = work.as_mut().poll(context);
        worked += begun.elapsed();
        polled
    });
    (done.await, worked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refusals(now: Instant) -> Refusals {
        Refusals {
            due: Mutex::new(now),
            processors: 2,
        }
    }

    #[test]
    fn a_few_refusals_are_answered_at_once() {
        let start = Instant::now();
        let refusals = refusals(start);
        for minute in 0..10 {
            let now = start + minute * 60 * SECOND;
            let delays = (0..100).map(|_| refusals.delay(Duration::ZERO, now));
            assert_eq!(delays.max(), Some(Duration::ZERO));
        }
    }

    /// As many clients as that ask again as soon as they are answered take a quarter of two processors' time.
    #[test]
    fn many_refusals_have_their_part_of_the_processors() {
        let start = Instant::now();
        let refusals = refusals(start);
        let worked = Duration::from_millis(1);
        let mut clients = [start; 8];
        let mut answered = 0;
        while let Some(now) = clients.iter_mut().min()
            && *now < start + 10 * SECOND
        {
            *now += refusals.delay(worked, *now) + Duration::from_micros(1);
            answered += 1;
        }
        let all = (worked + OVERHEAD) * answered;
        assert!(
            (4 * SECOND..6 * SECOND).contains(&all),
            "{answered} refusals, {all:?} of work"
        );
    }

    #[test]
    fn no_flood_keeps_an_answer_back_for_long() {
        let start = Instant::now();
        let refusals = refusals(start);
        for _ in 0..100_000 {
            let delay = refusals.delay(SECOND, start);
            assert!(delay <= MAX_DELAY, "{delay:?}");
        }
        let later = start + 2 * SECOND;
        assert_eq!(refusals.delay(Duration::ZERO, later), Duration::ZERO);
    }

    #[tokio::test]
    async fn waiting_is_no_work() {
        let ((), worked) = measured(tokio::time::sleep(SECOND / 5)).await;
        assert!(worked < SECOND / 10, "{worked:?}");
        let work = async {
            let begun = Instant::now();
            while begun.elapsed() < SECOND / 50 {}
        };
        let ((), worked) = measured(work).await;
        assert!(worked >= SECOND / 50, "{worked:?}");
    }
}
