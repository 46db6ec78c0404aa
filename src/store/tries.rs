//! When a piece of work is tried again, and for how long.

use std::time::{Duration, Instant};

use super::Transient;
use crate::clock::Ids;

/// For how long what rivals keep from being done is tried again at most.
const MAX_CONTENDED: Duration = Duration::from_secs(15);
/// How often what fails without rivals is tried: a server that stops, or is not ready. That takes about two seconds.
const MAX_ATTEMPTS: u32 = 12;
/// The limit of the first pause, and how often it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const DOUBLINGS: u32 = 6;

/// For how long rivals are put up with, where a statement, or a request, may take this long. Half of it, so that there is time left
/// for the last try.
pub(super) fn contended_limit(limit: Duration) -> Duration {
    (limit / 2).min(MAX_CONTENDED)
}

/// The tries of one piece of work.
pub(super) struct Tries {
    start: Instant,
    limit: Duration,
    made: u32,
}

impl Tries {
    /// Begins the first one. `limit` is for how long rivals are put up with.
    pub(super) fn begin(limit: Duration) -> Tries {
        Tries {
            start: Instant::now(),
            limit,
            made: 1,
        }
    }

    /// Whether there is to be another one after this failure. Of several that want the same, one succeeds each time, so those that
    /// fail are put up with for a time; whether a server comes back does not depend on how often it is asked.
    pub(super) fn may_go_on(&self, error: &impl Transient) -> bool {
        let may_help = error.is_contended() || self.made < MAX_ATTEMPTS;
        error.is_transient() && may_help && self.start.elapsed() < self.limit
    }

    /// Waits before the next one.
    pub(super) async fn pause(&mut self, action: &'static str) {
        tracing::debug!(action, attempt = self.made, "is tried again");
        pause(self.made).await;
        self.made += 1;
    }
}

/// Full jitter: a random share of a limit that doubles, so that transactions that collided do not collide again.
pub(super) async fn pause(attempt: u32) {
    let limit = FIRST_PAUSE * 2u32.pow(attempt.saturating_sub(1).min(DOUBLINGS));
    tokio::time::sleep(limit.mul_f64(Ids::Random.random_fraction())).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn rivals_are_put_up_with_for_a_time_and_servers_a_few_times() {
        let mut tries = Tries::begin(Duration::from_secs(3600));
        assert!(tries.may_go_on(&StoreError::ConnectionGone));
        tries.made = MAX_ATTEMPTS;
        assert!(!tries.may_go_on(&StoreError::ConnectionGone));
        assert!(tries.may_go_on(&StoreError::Overtaken.context("storing")));
        tries.limit = Duration::ZERO;
        assert!(!tries.may_go_on(&StoreError::Overtaken));
    }

    #[test]
    fn the_last_try_has_time_left() {
        assert_eq!(contended_limit(Duration::from_secs(60)), MAX_CONTENDED);
        let ten = Duration::from_secs(10);
        assert_eq!(contended_limit(ten), ten / 2);
    }
}
