//! Secrets and ids from the operating system's generator. Unlike the clock it is not passed in:
//! no caller, a test least of all, has a reason to make secrets predictable.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::rand_core::{TryRngCore, UnwrapErr};
use rand::rngs::OsRng;

/// The generator, in the form that ids are made from.
///
/// It panics if the operating system has no randomness to give: there is no safe way on.
pub fn generator() -> UnwrapErr<OsRng> {
    OsRng.unwrap_err()
}

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    use rand::RngCore;
    let mut bytes = [0; N];
    generator().fill_bytes(&mut bytes);
    bytes
}

/// 256 random bits as URL-safe text of 43 characters.
pub fn text() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// `length` characters drawn evenly from `alphabet`, which has 1 to 256 of them.
pub fn word(alphabet: &[u8], length: usize) -> String {
    // Bytes from the incomplete last round of the alphabet would favour its beginning.
    let fair = 256 / alphabet.len() * alphabet.len();
    let mut word = String::with_capacity(length);
    while word.len() < length {
        for byte in bytes::<32>() {
            let byte = usize::from(byte);
            if byte < fair && word.len() < length {
                word.push(char::from(alphabet[byte % alphabet.len()]));
            }
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_length_and_alphabet() {
        let word = word(b"abc", 100);
        assert_eq!(word.len(), 100);
        assert!(word.bytes().all(|byte| b"abc".contains(&byte)));
        assert!(
            b"abc"
                .iter()
                .all(|letter| word.bytes().any(|byte| byte == *letter))
        );
    }

    #[test]
    fn texts_differ() {
        assert_ne!(text(), text());
        assert_eq!(text().len(), 43);
    }
}
