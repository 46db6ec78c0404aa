//! Locks by key within this process.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

/// How many keys can be locked without waiting for each other, at most.
const STRIPES: usize = 64;

/// A lock for each key, of which keys share a fixed number: different keys seldom wait for each other, equal ones always.
pub struct StripedLocks([Mutex<()>; STRIPES]);

impl Default for StripedLocks {
    fn default() -> StripedLocks {
        StripedLocks([const { Mutex::const_new(()) }; STRIPES])
    }
}

impl StripedLocks {
    /// Waits until nobody else holds the key.
    pub async fn lock(&self, key: &(impl Hash + ?Sized)) -> MutexGuard<'_, ()> {
        // Nothing outside of this process sees which keys share a lock, so the hash may be another in the next release.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let stripe = hasher.finish() as usize % STRIPES;
        #[expect(
            clippy::indexing_slicing,
            reason = "a remainder of STRIPES is below STRIPES"
        )]
        self.0[stripe].lock().await
    }
}
