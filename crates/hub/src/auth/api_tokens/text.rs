//! The text form of an API token: `skl_<id>_<secret><check>`. Knows no database.
//!
//! The prefix lets secret scanners find a leaked token, the id finds the row without searching
//! by secret, and the check (CRC-32 of all before it) tells a mistyped or invented token from a
//! real one without asking the database.

use hub_model::{SecretHash, TokenId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::auth::random;

const PREFIX: &str = "skl_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 32;
/// 30 characters of 62 are 178 bits.
const SECRET_LENGTH: usize = 30;
/// 62^6 > 2^32.
const CHECK_LENGTH: usize = 6;
const LENGTH: usize = PREFIX.len() + ID_LENGTH + 1 + SECRET_LENGTH + CHECK_LENGTH;

/// An API token as its bearer sends it. It cannot be printed by accident.
pub struct ApiTokenText {
    id: TokenId,
    text: String,
}

impl ApiTokenText {
    /// A new token for this id.
    pub fn generate(id: TokenId) -> Self {
        let secret = random::word(ALPHABET, SECRET_LENGTH);
        let body = format!("{PREFIX}{}_{secret}", id.as_uuid().simple());
        let text = format!("{body}{}", check(&body));
        Self { id, text }
    }

    /// Reads a token; `None` if it cannot be one that this format ever had.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !text.is_ascii() {
            return None;
        }
        let (body, given_check) = text.split_at(LENGTH - CHECK_LENGTH);
        let (id, secret) = body.strip_prefix(PREFIX)?.split_once('_')?;
        let well_formed = id.len() == ID_LENGTH
            && !id.bytes().any(|byte| byte.is_ascii_uppercase())
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && check(body) == given_check;
        let id = TokenId::from_uuid(Uuid::try_parse(id).ok()?);
        well_formed.then(|| Self {
            id,
            text: text.to_owned(),
        })
    }

    /// Whether a credential claims to be an API token at all.
    pub fn looks_like_one(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The whole token, to be shown to its maker once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is stored. A plain hash is enough, because the secret cannot be guessed.
    pub fn hash(&self) -> SecretHash {
        hash_of(&self.text)
    }

    /// Whether this is the token that was stored, compared in constant time.
    pub fn matches(&self, stored: &SecretHash) -> bool {
        self.hash()
            .expose()
            .as_bytes()
            .ct_eq(stored.expose().as_bytes())
            .into()
    }
}

/// SHA-256 of a high-entropy secret, in hex.
pub fn hash_of(secret: &str) -> SecretHash {
    SecretHash::new(hex::encode(Sha256::digest(secret.as_bytes())))
}

/// CRC-32 in base 62, six digits.
fn check(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = [b'0'; CHECK_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> ApiTokenText {
        ApiTokenText::generate(TokenId::from_uuid(Uuid::from_u128(0x1234)))
    }

    #[test]
    fn a_token_reads_back() {
        let made = token();
        let read = ApiTokenText::parse(made.expose()).expect("read");
        assert_eq!(read.id(), made.id());
        assert!(read.matches(&made.hash()));
        assert!(
            !token().matches(&made.hash()),
            "each token has a secret of its own"
        );
    }

    #[test]
    fn any_single_changed_character_is_noticed() {
        let made = token();
        let text = made.expose();
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert!(ApiTokenText::parse(&changed).is_none(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,100}") {
            prop_assert!(ApiTokenText::parse(&text).is_none());
        }

        #[test]
        fn nor_does_what_begins_right(tail in "[0-9a-f_]{69}") {
            let text = format!("{PREFIX}{tail}");
            prop_assert!(ApiTokenText::parse(&text).is_none());
        }
    }
}
