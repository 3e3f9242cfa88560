//! The hub's own signed tokens: JWTs (RFC 7519) under HMAC-SHA256. Knows what a token says and
//! for how long, not what it is good for.
//!
//! The hub is the only one that verifies them, so a shared secret is enough, and at 2 µs a token
//! it is twenty times quicker than a signature. Each [`Purpose`] has a key of its own, derived
//! from the secret, so that a token made for one can never pass for another.

mod key_file;
mod keys;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use hub_model::Clock;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use key_file::KeyFile;
pub use key_file::KeyFileError;
use keys::{KeyRing, SigningKey};

use super::config::AuthConfig;
use super::secret::Secret;

/// A longer token is refused unread. Ours take about 400 bytes.
const TOKEN_BYTES_MAX: usize = 1_024;

/// Replicas' clocks may differ by this much.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(10);

/// An unknown `kid` makes the key file be read again, for another replica may have rotated; but
/// not more often than this, for anybody may send an unknown `kid`.
const RELOAD_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// What a token is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Access to the API, in the name of a session (RFC 9068).
    Access,
    /// A browser that signed in on the device page.
    PageSession,
    /// A form of the device page.
    Form,
    /// A challenge that a publisher's key must sign.
    KeyChallenge,
}

impl Purpose {
    const ALL: [Purpose; 4] = [
        Purpose::Access,
        Purpose::PageSession,
        Purpose::Form,
        Purpose::KeyChallenge,
    ];

    /// The token's `typ`, and the context that its key is derived with.
    const fn typ(self) -> &'static str {
        match self {
            Purpose::Access => "at+jwt",
            Purpose::PageSession => "page+jwt",
            Purpose::Form => "form+jwt",
            Purpose::KeyChallenge => "key-challenge+jwt",
        }
    }
}

/// What a token says, besides issuer, audience and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Whom it is about.
    pub subject: String,
    /// What it is bound to: a session, a password, a random value.
    pub binding: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// The binding; `sid` in the sense of RFC 9068's session identifier for access tokens.
    sid: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Why a token was not accepted. Clients are told `Expired` apart from the rest, because an
/// expired token is to be refreshed and any other is to be thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token is not one of this hub's")]
    Invalid,
}

/// Signs and verifies.
pub struct Signer {
    issuer: String,
    source: Source,
    keys: RwLock<Arc<KeyRing>>,
    reloaded_at: RwLock<Timestamp>,
    clock: Arc<dyn Clock>,
}

enum Source {
    /// Secrets that stand in the configuration and change with it.
    Config,
    /// The key file in the data folder, which rotates.
    File(KeyFile),
}

/// Why the hub cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error(
        "`auth.signing_secret` needs at least {} bytes",
        keys::SECRET_BYTES_MIN
    )]
    ShortSecret,
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
}

impl Signer {
    /// Takes the configured secrets, or else opens the key file, making it at first start.
    pub fn new(
        config: &AuthConfig,
        issuer: String,
        default_key_file: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SignerError> {
        let now = clock.now();
        let (source, keys) = match &config.signing_secret {
            Some(secret) => (
                Source::Config,
                configured(secret, &config.previous_signing_secrets)?,
            ),
            None => {
                let path = config.signing_key_file.clone().unwrap_or(default_key_file);
                let file = KeyFile::new(path, config.signing_key_days);
                let keys = file.load_and_rotate(now)?;
                (Source::File(file), keys)
            }
        };
        Ok(Self {
            issuer,
            source,
            keys: RwLock::new(Arc::new(keys)),
            reloaded_at: RwLock::new(now),
            clock,
        })
    }

    /// Replaces the signing key. Tokens signed before stay valid until they expire. Does nothing
    /// for configured secrets. Blocks on the file system.
    pub fn rotate(&self) -> Result<(), SignerError> {
        if let Source::File(file) = &self.source {
            self.install(file.rotate(self.clock.now())?);
        }
        Ok(())
    }

    /// Replaces the signing key if it is old enough. Blocks on the file system, but only then.
    pub fn rotate_if_due(&self) -> Result<(), SignerError> {
        let now = self.clock.now();
        if let Source::File(file) = &self.source
            && file.is_due(&self.ring(), now)
        {
            self.install(file.load_and_rotate(now)?);
        }
        Ok(())
    }

    /// A token for `purpose`, valid from now for `life`.
    pub fn seal(&self, purpose: Purpose, content: Content, life: SignedDuration) -> String {
        let now = self.clock.now().as_second();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: content.subject,
            sid: content.binding,
            iat: now,
            nbf: now,
            exp: now + life.as_secs(),
        };
        let ring = self.ring();
        let key = ring.newest();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(purpose.typ().to_owned());
        header.kid = Some(key.kid().to_owned());
        encode(&header, &claims, key.encoding(purpose))
            .expect("strings and integers serialise, and HMAC takes any key")
    }

    /// What the token says, if this hub made it for this purpose and it is valid now.
    pub fn open(&self, purpose: Purpose, token: &str) -> Result<Content, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        let fits = header.alg == Algorithm::HS256 && header.typ.as_deref() == Some(purpose.typ());
        let (true, Some(kid)) = (fits, header.kid) else {
            return Err(TokenError::Invalid);
        };
        let ring = self.ring_with(&kid);
        let key = ring.find(&kid).ok_or(TokenError::Invalid)?;
        let claims = decode::<Claims>(token, key.decoding(purpose), &validation(&self.issuer))
            .map_err(|_| TokenError::Invalid)?
            .claims;
        self.check_times(&claims)?;
        Ok(Content {
            subject: claims.sub,
            binding: claims.sid,
        })
    }

    fn check_times(&self, claims: &Claims) -> Result<(), TokenError> {
        let now = self.clock.now().as_second();
        if now >= claims.exp {
            return Err(TokenError::Expired);
        }
        if now + CLOCK_SKEW.as_secs() < claims.nbf.max(claims.iat) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys, read again from the file if this one is missing.
    fn ring_with(&self, kid: &str) -> Arc<KeyRing> {
        let ring = self.ring();
        let Source::File(file) = &self.source else {
            return ring;
        };
        if ring.find(kid).is_some() || !self.may_reload() {
            return ring;
        }
        match file.load() {
            Ok(keys) => self.install(keys),
            Err(error) => {
                tracing::warn!(%error, "cannot read the signing keys again");
                ring
            }
        }
    }

    fn may_reload(&self) -> bool {
        let now = self.clock.now();
        let mut last = self
            .reloaded_at
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let due = now.duration_since(*last) >= RELOAD_PAUSE;
        if due {
            *last = now;
        }
        due
    }

    fn install(&self, keys: KeyRing) -> Arc<KeyRing> {
        let keys = Arc::new(keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        keys
    }
}

fn configured(secret: &Secret, previous: &[Secret]) -> Result<KeyRing, SignerError> {
    let all = std::iter::once(secret).chain(previous);
    let keys: Option<Vec<_>> = all.map(|s| SigningKey::configured(s.expose())).collect();
    keys.map(KeyRing::new).ok_or(SignerError::ShortSecret)
}

/// Signature, issuer and audience. The times are checked against the hub's clock afterwards.
fn validation(issuer: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[issuer]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

#[cfg(test)]
mod tests;
