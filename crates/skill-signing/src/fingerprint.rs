//! Fingerprints: the names by which keys are known, pinned and found.
//!
//! Knows the text form only; which key a fingerprint belongs to is a keyring's business.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use skill_format::{Explain, Fault};

/// Hex digits of a version 4 fingerprint: a SHA-1 over the key packet (RFC 9580, section 5.5.4.2).
const DIGITS: usize = 40;
/// Hex digits of a key id, the end of a fingerprint.
const KEY_ID_DIGITS: usize = 16;

/// The fingerprint of an OpenPGP version 4 key: 40 upper-case hex digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// 40 upper-case hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last 16 digits, which older tools show instead of the whole.
    pub fn key_id(&self) -> &str {
        &self.0[DIGITS - KEY_ID_DIGITS..]
    }

    /// In groups of four, as `gpg --fingerprint` prints it, for reading aloud and comparing.
    pub fn grouped(&self) -> String {
        let mut text = String::with_capacity(DIGITS + DIGITS / 4);
        for (position, digit) in self.0.chars().enumerate() {
            if position > 0 && position % 4 == 0 {
                text.push(' ');
                if position == DIGITS / 2 {
                    text.push(' ');
                }
            }
            text.push(digit);
        }
        text
    }

    /// Only version 4 fingerprints have this form; others give `None`.
    pub(crate) fn from_pgp(fingerprint: &pgp::types::Fingerprint) -> Option<Self> {
        match fingerprint {
            pgp::types::Fingerprint::V4(bytes) => Some(Self(hex::encode_upper(bytes))),
            _ => None,
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Accepts either case, spaces between digits and a leading `0x`.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits = hex_digits(text).ok_or(FingerprintError)?;
        if digits.len() == DIGITS {
            Ok(Self(digits))
        } else {
            Err(FingerprintError)
        }
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The hex digits of a fingerprint or of its end in upper case, without spaces and `0x`; `None` if
/// there is anything else in `text`, or nothing, or more than a fingerprint.
pub(crate) fn hex_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    let mut digits = String::new();
    for character in text.chars().filter(|character| *character != ' ') {
        if !character.is_ascii_hexdigit() || digits.len() == DIGITS {
            return None;
        }
        digits.push(character.to_ascii_uppercase());
    }
    (!digits.is_empty()).then_some(digits)
}

/// A text that is not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 40 hex digits")]
pub struct FingerprintError;

impl Explain for FingerprintError {
    fn code(&self) -> &'static str {
        "fingerprint-invalid"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some("`skills key list` and `gpg --fingerprint` show fingerprints".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

    #[test]
    fn every_usual_spelling_reads_as_the_same_fingerprint() {
        let fingerprint: Fingerprint = TEXT.parse().unwrap();
        assert_eq!(fingerprint.as_str(), TEXT);
        assert_eq!(fingerprint.key_id(), "89ABCDEF01234567");
        assert_eq!(
            fingerprint.grouped(),
            "0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567"
        );
        for spelling in [
            TEXT.to_lowercase(),
            format!("0x{TEXT}"),
            fingerprint.grouped(),
        ] {
            assert_eq!(spelling.parse(), Ok(fingerprint.clone()), "{spelling}");
        }
        let json = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(json, format!("\"{TEXT}\""));
        assert_eq!(
            serde_json::from_str::<Fingerprint>(&json).unwrap(),
            fingerprint
        );
    }

    #[test]
    fn what_is_not_a_fingerprint_is_refused() {
        for text in [
            "",
            "0x",
            &TEXT[1..],
            &format!("{TEXT}0"),
            &TEXT.replace('A', "G"),
            "schlüssel",
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }
}
