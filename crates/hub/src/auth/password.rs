//! Passwords: which are accepted, and how they are hashed (argon2id, RFC 9106). Knows no account
//! and no HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use hub_model::SecretHash;
use tokio::sync::{Semaphore, SemaphorePermit};
use unicode_normalization::UnicodeNormalization;

use super::config::PasswordConfig;
use super::random;

/// Shorter passwords are guessed.
pub const LENGTH_MIN: usize = 10;
/// Longer ones only make the hub work.
pub const LENGTH_MAX: usize = 256;

/// Why a password is not accepted. It is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRule {
    #[error("a password has at least {LENGTH_MIN} characters")]
    TooShort,
    #[error("a password has at most {LENGTH_MAX} characters")]
    TooLong,
    #[error("a password is not the username")]
    IsUsername,
    #[error("a password is not one character repeated")]
    OneCharacter,
}

/// Whether `password` may protect the account `username`. The rules are NIST's
/// (SP 800-63B §5.1.1): length and the obvious, no demands on kinds of characters.
pub fn check_rules(password: &str, username: &str) -> Result<(), PasswordRule> {
    let length = password.chars().count();
    if length < LENGTH_MIN {
        return Err(PasswordRule::TooShort);
    }
    if length > LENGTH_MAX {
        return Err(PasswordRule::TooLong);
    }
    let folded = password.to_lowercase();
    if folded == username.to_lowercase() {
        return Err(PasswordRule::IsUsername);
    }
    let mut characters = folded.chars();
    let first = characters.next();
    if characters.all(|c| Some(c) == first) {
        return Err(PasswordRule::OneCharacter);
    }
    Ok(())
}

/// Hashes and verifies, a bounded number at once, on threads that may block.
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    places: Semaphore,
    waiting: AtomicUsize,
    queue_max: usize,
    /// The hash of a password nobody knows. An unknown account is checked against it, so that
    /// it takes the same time as a known one.
    nobody: Arc<SecretHash>,
}

/// A password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// More requests wait than are allowed to.
    #[error("too many passwords are being checked at this moment")]
    Busy,
    #[error("the password hash failed")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("the password hash was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// The configured cost cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`auth.password` is out of bounds: memory_kib is 8,192 to 1,048,576 and passes is 1 to 20")]
pub struct PasswordCostError;

impl PasswordHasher {
    /// Prepares hashing at the configured cost. Computes one hash.
    pub fn new(config: &PasswordConfig) -> Result<Self, PasswordCostError> {
        let sane =
            (8_192..=1_048_576).contains(&config.memory_kib) && (1..=20).contains(&config.passes);
        if !sane {
            return Err(PasswordCostError);
        }
        let params = Params::new(config.memory_kib, config.passes, 1, None)
            .map_err(|_| PasswordCostError)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, &random::text()).map_err(|_| PasswordCostError)?;
        Ok(Self {
            argon2,
            places: Semaphore::new(config.concurrency.max(1)),
            waiting: AtomicUsize::new(0),
            queue_max: config.queue_max,
            nobody: Arc::new(nobody),
        })
    }

    /// The hash of a password, in PHC string form with a fresh salt.
    pub async fn hash(&self, password: &str) -> Result<SecretHash, PasswordError> {
        let _place = self.place().await?;
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        Ok(tokio::task::spawn_blocking(move || hash(&argon2, &password)).await??)
    }

    /// Whether the password is the one of this hash. Without a hash (no such account, or one
    /// without a password) it does the same work and says no.
    pub async fn verify(
        &self,
        stored: Option<&SecretHash>,
        password: &str,
    ) -> Result<bool, PasswordError> {
        let _place = self.place().await?;
        let known = stored.is_some();
        let against = stored.unwrap_or(&self.nobody).clone();
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        let matches =
            tokio::task::spawn_blocking(move || verify(&argon2, &against, &password)).await??;
        Ok(matches && known)
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, PasswordError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _waiting = Waiting::enter(&self.waiting, self.queue_max).ok_or(PasswordError::Busy)?;
        // The semaphore is never closed; if it were, nothing could be hashed.
        self.places.acquire().await.map_err(|_| PasswordError::Busy)
    }
}

/// One place in the queue, given back when the request goes on or goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type HashResult<T> = Result<T, argon2::password_hash::Error>;

fn hash(argon2: &Argon2<'_>, password: &str) -> HashResult<SecretHash> {
    let salt = random::bytes::<16>();
    let hash = argon2.hash_password_with_salt(normalized(password).as_bytes(), &salt)?;
    Ok(SecretHash::new(hash.to_string()))
}

/// The cost is read from the stored hash, so that old hashes stay good when the cost changes.
fn verify(argon2: &Argon2<'_>, stored: &SecretHash, password: &str) -> HashResult<bool> {
    let stored = PasswordHash::new(stored.expose())?;
    match argon2.verify_password(normalized(password).as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Keyboards differ in how they spell `é`; the hash must not (NIST SP 800-63B §5.1.1.2).
fn normalized(password: &str) -> String {
    password.nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> PasswordConfig {
        PasswordConfig {
            memory_kib: 8_192,
            passes: 1,
            concurrency: 1,
            queue_max: 1,
        }
    }

    #[test]
    fn rules_refuse_the_obvious() {
        let check = |password: &str| check_rules(password, "alice-in-chains");
        assert_eq!(check("short"), Err(PasswordRule::TooShort));
        assert_eq!(check(&"ab".repeat(129)), Err(PasswordRule::TooLong));
        assert_eq!(check("Alice-In-Chains"), Err(PasswordRule::IsUsername));
        assert_eq!(check("aaaaaaaaaaaa"), Err(PasswordRule::OneCharacter));
        assert_eq!(check(&"ab".repeat(128)), Ok(()));
        assert_eq!(
            check("ééééééééß漢"),
            Ok(()),
            "length counts characters, not bytes"
        );
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_only() {
        let hasher = PasswordHasher::new(&cheap()).expect("a hasher");
        let hash = hasher.hash("correct horse é").await.expect("hashed");
        assert!(hash.expose().starts_with("$argon2id$v=19$m=8192,t=1,p=1$"));
        assert!(
            hasher
                .verify(Some(&hash), "correct horse e\u{301}")
                .await
                .expect("checked")
        );
        assert!(
            !hasher
                .verify(Some(&hash), "correct horse e")
                .await
                .expect("checked")
        );
        assert!(
            !hasher
                .verify(None, "correct horse é")
                .await
                .expect("checked")
        );
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once() {
        let hasher = PasswordHasher::new(&cheap()).expect("a hasher");
        let (a, b, c) = tokio::join!(
            hasher.hash("password-1"),
            hasher.hash("password-2"),
            hasher.hash("password-3")
        );
        assert!(a.is_ok() && b.is_ok());
        assert!(matches!(c, Err(PasswordError::Busy)));
        assert!(
            hasher.hash("password-4").await.is_ok(),
            "and the queue empties again"
        );
    }

    #[test]
    fn a_cost_that_protects_nothing_is_refused() {
        assert!(
            PasswordHasher::new(&PasswordConfig {
                memory_kib: 64,
                ..cheap()
            })
            .is_err()
        );
        assert!(
            PasswordHasher::new(&PasswordConfig {
                passes: 0,
                ..cheap()
            })
            .is_err()
        );
    }
}
