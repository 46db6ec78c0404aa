//! The cookie of the page: a token that only this service can read, so that no script and no reader of the browser's files has
//! it. There is no table of sessions; every service with the same key knows every cookie.

use std::path::Path;

use axum::http::{HeaderMap, header};
use base64::prelude::*;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config;

/// The name with TLS. The prefix makes browsers refuse it from other hosts, paths and schemes.
const NAME: &str = "__Host-freezer";
/// The name without.
const PLAIN_NAME: &str = "freezer";
/// What is sealed under this key is nothing else than a cookie of this form.
const PURPOSE: &[u8] = b"freezer-api web page session, version 1";
/// A shorter secret can be guessed.
const LEAST_SECRET: usize = 32;
/// What browsers keep at least (RFC 6265, section 6.1), less the name and the attributes.
const MOST_COOKIE: usize = 3900;

/// Why no cookies can be sealed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("[ui] session_key_file {0}: {1}")]
    File(String, std::io::Error),
    /// There is too little in it.
    #[error(
        "[ui] session_key_file {0} has fewer than {LEAST_SECRET} characters; openssl rand -base64 48 makes a good one"
    )]
    Short(String),
    /// The system has no random numbers.
    #[error("no random numbers for the key of the page's cookies")]
    Random,
}

/// What the cookie holds.
#[derive(Clone)]
pub(in crate::api) struct Session {
    /// The token that those for projects are made from.
    pub(super) root: SecretString,
    /// The token for the project.
    pub(in crate::api) token: SecretString,
    /// In seconds since the epoch.
    pub(super) expires_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    /// Missing where it is the other one.
    root: Option<&'a str>,
    token: &'a str,
    expires_at: i64,
}

/// Seals and opens cookies.
pub(super) struct Seal {
    key: LessSafeKey,
    random: SystemRandom,
    allow_http: bool,
}

impl Seal {
    /// With the key of `[ui] session_key_file`, or one of this process.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(super) fn new(options: &config::Ui) -> Result<Seal, KeyError> {
        let random = SystemRandom::new();
        let key = match &options.session_key_file {
            Some(file) => key_of_file(file)?,
            None => {
                let mut key = [0; 32];
                random
                    .fill(&mut key)
                    .map_err(|Unspecified| KeyError::Random)?;
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), PURPOSE)
            }
        };
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref());
        Ok(Seal {
            key: LessSafeKey::new(key.map_err(|Unspecified| KeyError::Random)?),
            random,
            allow_http: options.allow_http,
        })
    }

    /// The value of `Set-Cookie`; `None` where the token is too large for a cookie.
    pub(super) fn cookie(&self, session: &Session, is_secure: bool, now: i64) -> Option<String> {
        let (root, token) = (session.root.expose_secret(), session.token.expose_secret());
        let text = serde_json::to_vec(&Sealed {
            root: (root != token).then_some(root),
            token,
            expires_at: session.expires_at,
        });
        let sealed = self.seal(text.ok()?).ok()?;
        let lifetime = (session.expires_at - now).max(0);
        (sealed.len() <= MOST_COOKIE).then(|| set_cookie(&sealed, is_secure, lifetime))
    }

    /// The session of a request's cookie, where it has a good one.
    pub(super) fn session(&self, headers: &HeaderMap, now: i64) -> Option<Session> {
        let values = headers.get_all(header::COOKIE).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == NAME || (self.allow_http && *name == PLAIN_NAME))
            .find_map(|(_, value)| self.open(value))
            .filter(|session| now < session.expires_at)
    }

    fn seal(&self, mut text: Vec<u8>) -> Result<String, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let unique = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(unique, Aad::from(PURPOSE), &mut text)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&nonce, text.as_slice()].concat()))
    }

    fn open(&self, cookie: &str) -> Option<Session> {
        let mut sealed = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, text) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self
            .key
            .open_in_place(nonce, Aad::from(PURPOSE), text)
            .ok()?;
        let sealed: Sealed<'_> = serde_json::from_slice(text).ok()?;
        Some(Session {
            root: sealed.root.unwrap_or(sealed.token).into(),
            token: sealed.token.into(),
            expires_at: sealed.expires_at,
        })
    }
}

/// The value of `Set-Cookie` that takes the cookie away.
pub(super) fn no_cookie(is_secure: bool) -> String {
    set_cookie("", is_secure, 0)
}

fn set_cookie(value: &str, is_secure: bool, seconds: i64) -> String {
    let (name, secure) = if is_secure {
        (NAME, "; Secure")
    } else {
        (PLAIN_NAME, "")
    };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn key_of_file(file: &Path) -> Result<hmac::Tag, KeyError> {
    let name = || file.display().to_string();
    let secret = std::fs::read(file).map_err(|error| KeyError::File(name(), error))?;
    let secret = secret.trim_ascii();
    if secret.len() < LEAST_SECRET {
        return Err(KeyError::Short(name()));
    }
    Ok(hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret),
        PURPOSE,
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn seal(allow_http: bool) -> Seal {
        Seal::new(&config::Ui {
            allow_http,
            ..config::Ui::default()
        })
        .unwrap()
    }

    fn session() -> Session {
        Session {
            root: "gAAAA-root".into(),
            token: "gAAAA-secret".into(),
            expires_at: NOW + 60,
        }
    }

    fn opened(seal: &Seal, cookie: &str, now: i64) -> Option<String> {
        let headers =
            HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).unwrap())]);
        let session = seal.session(&headers, now)?;
        Some(session.token.expose_secret().to_owned())
    }

    /// `name=value` of what the server sets.
    fn pair(set_cookie: &str) -> &str {
        set_cookie.split(';').next().unwrap()
    }

    #[test]
    fn a_cookie_is_good_for_its_key_and_its_time() {
        let seal = seal(false);
        let set = seal.cookie(&session(), true, NOW).unwrap();
        assert!(set.starts_with("__Host-freezer="), "{set}");
        assert!(
            set.ends_with("; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"),
            "{set}"
        );
        assert!(!set.contains("gAAAA"), "{set}");
        let cookie = pair(&set);
        let token = Some("gAAAA-secret".to_owned());
        assert_eq!(opened(&seal, cookie, NOW), token);
        assert_eq!(
            opened(&seal, &format!("a=b; {cookie}; c=d"), NOW + 59),
            token
        );
        assert_eq!(opened(&seal, cookie, NOW + 60), None, "it has expired");
        let other = Seal::new(&config::Ui::default()).unwrap();
        assert_eq!(opened(&other, cookie, NOW), None, "of another key");
        let renamed = cookie.replace("__Host-", "");
        assert_eq!(opened(&seal, &renamed, NOW), None, "without the prefix");
    }

    #[test]
    fn no_changed_cookie_is_opened() {
        let seal = seal(false);
        let set = seal.cookie(&session(), true, NOW).unwrap();
        let (name, value) = pair(&set).split_once('=').unwrap();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let changed = format!("{name}={}", BASE64_URL_SAFE_NO_PAD.encode(changed));
                assert_eq!(opened(&seal, &changed, NOW), None, "byte {at}, bit {bit}");
            }
        }
        for length in 0..bytes.len() {
            let cut = format!("{name}={}", BASE64_URL_SAFE_NO_PAD.encode(&bytes[..length]));
            assert_eq!(opened(&seal, &cut, NOW), None, "{length} bytes");
        }
        for nonsense in ["", "=", "%", "AAAA", "__Host-freezer", "e30"] {
            assert_eq!(opened(&seal, &format!("{name}={nonsense}"), NOW), None);
        }
    }

    #[test]
    fn a_plain_cookie_is_for_those_who_allow_it() {
        let plain = seal(true);
        let set = plain.cookie(&session(), false, NOW).unwrap();
        assert!(
            set.starts_with("freezer=") && !set.contains("Secure"),
            "{set}"
        );
        assert!(opened(&plain, pair(&set), NOW).is_some());
        let secure = Seal {
            allow_http: false,
            ..plain
        };
        assert_eq!(opened(&secure, pair(&set), NOW), None);
    }

    #[test]
    fn a_key_file_is_shared_and_long_enough() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let options = config::Ui {
            session_key_file: Some(file.clone()),
            ..config::Ui::default()
        };
        let error = |options| Seal::new(options).err().unwrap().to_string();
        assert!(error(&options).contains("session_key_file"));
        std::fs::write(&file, "x".repeat(31) + "\n\n").unwrap();
        assert!(error(&options).contains("fewer than 32"));
        std::fs::write(&file, "x".repeat(32) + "\n").unwrap();
        let (one, other) = (Seal::new(&options).unwrap(), Seal::new(&options).unwrap());
        let set = one.cookie(&session(), true, NOW).unwrap();
        assert!(opened(&other, pair(&set), NOW).is_some());
    }

    #[test]
    fn a_token_that_no_browser_would_keep_is_refused() {
        let large = Session {
            token: "x".repeat(4000).into(),
            ..session()
        };
        assert!(seal(false).cookie(&large, true, NOW).is_none());
    }
}
