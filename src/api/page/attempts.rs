//! How often somebody may try to log in. Keystone may lock users out; this keeps strangers from trying many.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::future::Cache;

/// Failures of an address within [`WINDOW`].
const MOST: u32 = 5;
/// From the first failure on.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered, so that many of them take no memory.
const MOST_ADDRESSES: u64 = 10_000;

/// The failures of the last minute.
pub(super) struct Attempts(Cache<String, Arc<AtomicU32>>);

/// One that is under way. It counts as failed until it has succeeded, so that many at once are no way around the limit.
pub(super) struct Attempt(Arc<AtomicU32>);

impl Attempts {
    pub(super) fn new() -> Attempts {
        let cache = Cache::builder()
            .max_capacity(MOST_ADDRESSES)
            .time_to_live(WINDOW);
        Attempts(cache.build())
    }

    /// Begins an attempt; `None` where there were too many.
    pub(super) async fn begin(&self, address: &str) -> Option<Attempt> {
        let failures = self.0.get_with(network(address), async { Arc::default() });
        let failures = failures.await;
        let below = |failures| (failures < MOST).then_some(failures + 1);
        failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below)
            .ok()?;
        Some(Attempt(failures))
    }
}

impl Attempt {
    /// It was no failure.
    pub(super) fn forgive(self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one subscriber has: an address, or of IPv6 a network of 64 bits.
fn network(address: &str) -> String {
    let with_port = address.parse().map(|address: SocketAddr| address.ip());
    let ip = with_port.or_else(|_| address.trim_matches(['[', ']']).parse());
    // A socket of IPv6 calls clients of IPv4 by addresses of IPv6 that are all of one network.
    match ip.map(|ip: IpAddr| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Err(_) => address.chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn five_failures_are_enough() {
        let attempts = Attempts::new();
        for _ in 0..20 {
            attempts.begin("192.0.2.1").await.unwrap().forgive();
        }
        let mut open = Vec::new();
        for _ in 0..5 {
            open.push(attempts.begin("192.0.2.1").await.unwrap());
        }
        assert!(attempts.begin("192.0.2.1").await.is_none());
        assert!(attempts.begin("192.0.2.2").await.is_some());
        open.pop().unwrap().forgive();
        assert!(attempts.begin("192.0.2.1").await.is_some());
        assert!(attempts.begin("192.0.2.1").await.is_none());
    }

    #[test]
    fn a_subscriber_is_one_address() {
        assert_eq!(network("[2001:db8:1:2:3::4]"), network("2001:db8:1:2::9"));
        assert_ne!(network("2001:db8:1:2::9"), network("2001:db8:1:3::9"));
        for one in [
            "192.0.2.1",
            "192.0.2.1:4711",
            "::ffff:192.0.2.1",
            "[::ffff:192.0.2.1]:80",
        ] {
            assert_eq!(network(one), "192.0.2.1", "{one}");
        }
        assert_eq!(
            network("[2001:db8:1:2::3]:4711"),
            network("2001:db8:1:2::9")
        );
        assert_eq!(network(&"x".repeat(9000)).len(), 64);
    }
}
