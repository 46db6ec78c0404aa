//! The pace of what leads to nothing: refusals, and floods on a connection. Each can cost nearly as much as what is served, and
//! needs no right, no token and no connection to the database, for which callers have shares. So all of a kind together get a part of
//! the processors: who causes one now and then has its answer at once, who does nothing else waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What leads to nothing has the time of one in so many processors, each kind.
pub const PROCESSORS_FOR_NOTHING: u32 = 4;
/// What a kind may take at once after a quiet time.
const CREDIT: Duration = Duration::from_millis(20);
/// The longest that an answer is kept back, however many there are.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// When the next of a kind is due, for the whole service.
#[derive(Debug)]
pub struct Pace {
    due: Mutex<Instant>,
    processors: u32,
    overhead: Duration,
}

impl Pace {
    /// The pace that suits this machine. `overhead` is what one takes besides the work that is measured.
    pub fn new(overhead: Duration) -> Pace {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Pace {
            due: Mutex::new(Instant::now()),
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
            overhead,
        }
    }

    /// For how long one is kept back that took so much work.
    pub fn delay(&self, worked: Duration, now: Instant) -> Duration {
        let part = (worked + self.overhead) * PROCESSORS_FOR_NOTHING / self.processors;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = ((*due).max(now) + part).min(now + CREDIT + MAX_DELAY);
        due.saturating_duration_since(now).saturating_sub(CREDIT)
    }
}

/// Does a piece of work, and says for how long it was worked on, without the time in which it waited.
pub async fn measured<T>(work: impl Future<Output = T>) -> (T, Duration) {
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

    const OVERHEAD: Duration = Duration::from_micros(100);

    fn pace(now: Instant) -> Pace {
        Pace {
            due: Mutex::new(now),
            processors: 2,
            overhead: OVERHEAD,
        }
    }

    #[test]
    fn a_few_are_answered_at_once() {
        let start = Instant::now();
        let pace = pace(start);
        for minute in 0..10 {
            let now = start + minute * 60 * SECOND;
            let delays = (0..100).map(|_| pace.delay(Duration::ZERO, now));
            assert_eq!(delays.max(), Some(Duration::ZERO));
        }
    }

    /// As many clients as that ask again as soon as they are answered take a quarter of two processors' time.
    #[test]
    fn many_have_their_part_of_the_processors() {
        let start = Instant::now();
        let pace = pace(start);
        let worked = Duration::from_millis(1);
        let mut clients = [start; 8];
        let mut answered = 0;
        while let Some(now) = clients.iter_mut().min()
            && *now < start + 10 * SECOND
        {
            *now += pace.delay(worked, *now) + Duration::from_micros(1);
            answered += 1;
        }
        let all = (worked + OVERHEAD) * answered;
        assert!(
            (4 * SECOND..6 * SECOND).contains(&all),
            "{answered} answers, {all:?} of work"
        );
    }

    #[test]
    fn no_flood_keeps_an_answer_back_for_long() {
        let start = Instant::now();
        let pace = pace(start);
        for _ in 0..100_000 {
            let delay = pace.delay(SECOND, start);
            assert!(delay <= MAX_DELAY, "{delay:?}");
        }
        let later = start + 2 * SECOND;
        assert_eq!(pace.delay(Duration::ZERO, later), Duration::ZERO);
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
