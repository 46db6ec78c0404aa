//! Validated tokens, kept by their hash: in this process and, where `memcached_servers` names servers, in memcached for
//! all nodes of the API.
//!
//! An entry is kept for `token_cache_time`, never beyond the token's expiry. Neither use nor a copy on another node prolongs
//! it, so that a revoked token is refused after `token_cache_time` at the latest. Entries in memcached are encrypted
//! with a key derived from the token itself: whoever can read the cache learns nothing. With `memcache_secret_key`, whoever
//! can write to it cannot forge an entry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::client::IdentityError;
use super::counts::{Counts, Source};
use super::memcached::Memcached;
use super::token::ValidToken;
use crate::clock::Clock;

/// Tokens kept in memory; about 1 kB each.
const MAX_TOKENS: u64 = 20_000;
/// Refused tokens kept in memory, apart, so that a flood of invalid tokens does not evict valid ones.
const MAX_REFUSED: u64 = 20_000;
/// How long a token stays refused without asking Keystone again.
const REFUSED_LIFETIME: Duration = Duration::from_secs(10);

/// In place of `memcache_secret_key` where there is none: entries are then sealed by the token alone.
const NO_SECRET: &str = "freezer-api shared token cache";

/// Why a token is not accepted.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// Keystone does not know it, or no longer.
    Invalid,
    /// Keystone could not be asked.
    Unavailable(Arc<IdentityError>),
}

/// The key of a token in the cache. Whether Keystone was told to accept it expired is part of it, because the answers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    hash: [u8; digest::SHA256_OUTPUT_LEN],
    allow_expired: bool,
}

impl Key {
    fn new(token: &str, allow_expired: bool) -> Self {
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        for (to, from) in hash
            .iter_mut()
            .zip(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
        {
            *to = *from;
        }
        Self {
            hash,
            allow_expired,
        }
    }

    fn name(&self) -> String {
        let hex: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "freezer-api/{}/{hex}",
            if self.allow_expired {
                "expired"
            } else {
                "token"
            }
        )
    }
}

#[derive(Clone)]
struct CachedToken {
    token: Arc<ValidToken>,
    lifetime: Duration,
}

struct CachedLifetime;

impl Expiry<Key, CachedToken> for CachedLifetime {
    fn expire_after_create(&self, _: &Key, entry: &CachedToken, _: Instant) -> Option<Duration> {
        Some(entry.lifetime)
    }
}

/// What memcached holds, inside its encryption.
#[derive(Serialize, Deserialize)]
struct Shared {
    token: ValidToken,
    /// When Keystone was asked; seconds since the epoch.
    checked_at: i64,
}

/// The cache of validated tokens.
pub(crate) struct TokenCache {
    /// Seconds; `None`: every request asks Keystone.
    lifetime: Option<i64>,
    tokens: Cache<Key, CachedToken>,
    refused: Cache<Key, ()>,
    shared: Option<(Arc<Memcached>, SealingKey)>,
    clock: Clock,
    counts: Arc<Counts>,
}

impl TokenCache {
    /// `lifetime` is `token_cache_time`: seconds; 0 and less switch the cache off.
    pub(crate) fn new(
        lifetime: i64,
        shared: Option<Memcached>,
        secret: Option<&SecretString>,
        clock: Clock,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            lifetime: (lifetime > 0).then_some(lifetime),
            tokens: Cache::builder()
                .max_capacity(MAX_TOKENS)
                .expire_after(CachedLifetime)
                .build(),
            refused: Cache::builder()
                .max_capacity(MAX_REFUSED)
                .time_to_live(REFUSED_LIFETIME.min(remaining(lifetime)))
                .build(),
            shared: shared.map(|memcached| (Arc::new(memcached), SealingKey::new(secret))),
            clock,
            counts,
        }
    }

    /// What Keystone said about the token within the cache time, else what `validate` finds out. All who ask for one
    /// token meanwhile wait for that one call and share its outcome.
    ///
    /// # Errors
    /// The refusal. `Unavailable` is not kept: the next request asks again.
    pub(crate) async fn get_or_validate<F>(
        &self,
        token: &str,
        allow_expired: bool,
        validate: impl FnOnce() -> F,
    ) -> Result<Arc<ValidToken>, Refusal>
    where
        F: Future<Output = Result<ValidToken, Refusal>>,
    {
        let key = Key::new(token, allow_expired);
        if let Some(entry) = self.tokens.get(&key).await {
            self.counts.known(Source::Hit);
            return Ok(entry.token);
        }
        if self.refused.contains_key(&key) {
            self.counts.known(Source::Refused);
            return Err(Refusal::Invalid);
        }
        // On the heap: what rarely runs, and is large, is not part of each request's future.
        let load = self.load(key, token, validate());
        let loaded = Box::pin(self.tokens.try_get_with(key, load)).await;
        loaded
            .map(|entry| entry.token)
            .map_err(|refusal| (*refusal).clone())
    }

    /// Drops what is known of a token in this process.
    pub(crate) async fn forget(&self, token: &str) {
        for allow_expired in [false, true] {
            self.tokens.remove(&Key::new(token, allow_expired)).await;
        }
    }

    async fn load(
        &self,
        key: Key,
        token: &str,
        validate: impl Future<Output = Result<ValidToken, Refusal>>,
    ) -> Result<CachedToken, Refusal> {
        if let Some(entry) = self.load_shared(key, token).await {
            self.counts.known(Source::Shared);
            return Ok(entry);
        }
        self.counts.known(Source::Keystone);
        let checked_at = self.clock.now().unix_timestamp();
        match validate.await {
            Ok(valid) => {
                let lifetime = self.lifetime(&valid, checked_at);
                self.store_shared(key, token, &valid, checked_at, lifetime);
                Ok(CachedToken {
                    token: Arc::new(valid),
                    lifetime,
                })
            }
            Err(Refusal::Invalid) => {
                if self.lifetime.is_some() {
                    self.refused.insert(key, ()).await;
                }
                Err(Refusal::Invalid)
            }
            Err(unavailable) => Err(unavailable),
        }
    }

    /// How long an answer of `checked_at` is still valid.
    fn lifetime(&self, token: &ValidToken, checked_at: i64) -> Duration {
        let Some(cache_time) = self.lifetime else {
            return Duration::ZERO;
        };
        let now = self.clock.now();
        let mut until = checked_at.saturating_add(cache_time);
        if !token.expired(now) {
            until = until.min(token.expires_at);
        }
        remaining((until - now.unix_timestamp()).min(cache_time))
    }

    async fn load_shared(&self, key: Key, token: &str) -> Option<CachedToken> {
        let (memcached, sealing) = self.shared.as_ref()?;
        self.lifetime?;
        let name = key.name();
        let sealed = memcached.get(&name).await?;
        // What cannot be opened or read is somebody else's, or another release's.
        let Shared { token, checked_at } =
            serde_json::from_slice(&sealing.open(token, &name, sealed)?).ok()?;
        let lifetime = self.lifetime(&token, checked_at);
        (!lifetime.is_zero()).then(|| CachedToken {
            token: Arc::new(token),
            lifetime,
        })
    }

    /// Writes in the background: the request does not wait for memcached.
    fn store_shared(
        &self,
        key: Key,
        token: &str,
        valid: &ValidToken,
        checked_at: i64,
        lifetime: Duration,
    ) {
        let Some((memcached, sealing)) = &self.shared else {
            return;
        };
        if lifetime.is_zero() {
            return;
        }
        let name = key.name();
        let shared = Shared {
            token: valid.clone(),
            checked_at,
        };
        #[expect(clippy::expect_used, reason = "the keys of its objects are strings")]
        let plain = serde_json::to_vec(&shared).expect("a token has a text");
        match sealing.seal(token, &name, plain) {
            Ok(sealed) => {
                let memcached = Arc::clone(memcached);
                tokio::spawn(async move { memcached.set(&name, &sealed, lifetime).await });
            }
            Err(Unspecified) => {
                tracing::warn!("no random numbers: a token is not shared in memcached");
            }
        }
    }
}

/// A number of seconds; none where the time has passed.
fn remaining(seconds: i64) -> Duration {
    Duration::from_secs(seconds.max(0).unsigned_abs())
}

/// Makes the key of each entry from its token: AES-256-GCM with HMAC-SHA-256 of the token.
struct SealingKey {
    mac: hmac::Key,
    random: SystemRandom,
}

impl SealingKey {
    fn new(secret: Option<&SecretString>) -> Self {
        let secret = secret.map_or(NO_SECRET, |secret| secret.expose_secret());
        Self {
            mac: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            random: SystemRandom::new(),
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "HMAC-SHA-256 gives the 32 bytes that AES-256 takes"
    )]
    fn cipher(&self, token: &str) -> LessSafeKey {
        let key = hmac::sign(&self.mac, token.as_bytes());
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key of 32 bytes"))
    }

    fn seal(&self, token: &str, name: &str, mut value: Vec<u8>) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        self.cipher(token).seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name),
            &mut value,
        )?;
        Ok([&nonce, value.as_slice()].concat())
    }

    fn open(&self, token: &str, name: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (nonce, value) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let plain = self
            .cipher(token)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name), value)
            .ok()?;
        Some(plain.to_vec())
    }
}
