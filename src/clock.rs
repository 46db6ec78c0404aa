//! Time and identifiers: the only callers of the system's clock and random numbers.
//!
//! Everything else takes them as parameters, so that a test can fix both.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use time::OffsetDateTime;

/// Where "now" comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that is set by hand, for tests.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `seconds` since the epoch.
    pub fn fixed(seconds: i64) -> Clock {
        Clock::Fixed(Arc::new(AtomicI64::new(seconds)))
    }

    /// Moves a fixed clock forward; the system's clock does not need it.
    pub fn advance(&self, seconds: i64) {
        if let Clock::Fixed(now) = self {
            now.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    /// Seconds since the epoch, as the documents carry times.
    pub fn timestamp(&self) -> i64 {
        match self {
            Clock::System => self.now().unix_timestamp(),
            Clock::Fixed(now) => now.load(Ordering::SeqCst),
        }
    }

    /// The time in UTC, as the tables carry it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that may ask"
    )]
    #[expect(clippy::expect_used, reason = "tests set years that a date can have")]
    pub fn now(&self) -> OffsetDateTime {
        match self {
            Clock::System => OffsetDateTime::now_utc(),
            Clock::Fixed(now) => OffsetDateTime::from_unix_timestamp(now.load(Ordering::SeqCst))
                .expect("a time within the years of a date"),
        }
    }
}

/// Where new identifiers come from.
#[derive(Clone, Debug, Default)]
pub enum Ids {
    /// Random UUIDs (version 4).
    #[default]
    Random,
    /// 1, 2, 3, …, for tests.
    Sequence(Arc<AtomicU64>),
}

impl Ids {
    /// Identifiers that count up from 1.
    pub fn sequence() -> Ids {
        Ids::Sequence(Arc::new(AtomicU64::new(0)))
    }

    /// A new identifier of 32 hexadecimal digits, the form that the reference gives its documents.
    pub fn hex(&self) -> String {
        self.next().simple().to_string()
    }

    /// A new identifier in the hyphenated form, the form of OpenStack's request ids.
    pub fn hyphenated(&self) -> String {
        self.next().hyphenated().to_string()
    }

    /// A random share, 0 or more and less than 1.
    pub fn random_fraction(&self) -> f64 {
        // 2⁻³² steps are fine enough for waiting times.
        f64::from(self.next().as_fields().0) / (f64::from(u32::MAX) + 1.0)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that may ask"
    )]
    fn next(&self) -> uuid::Uuid {
        match self {
            Ids::Random => uuid::Uuid::new_v4(),
            Ids::Sequence(last) => {
                uuid::Uuid::from_u128(u128::from(last.fetch_add(1, Ordering::SeqCst) + 1))
            }
        }
    }
}
