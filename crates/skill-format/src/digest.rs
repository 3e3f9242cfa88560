//! SHA-256 digests, and the one encoding under which a set of files becomes a digest.
//!
//! Knows bytes and file names; does not know archives, folders or what `skill.yaml` means.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use crate::explain::{Explain, Fault};

const PREFIX: &str = "sha256:";
const DIGEST_BYTES: usize = 32;

/// First bytes of every encoded tree, so that a tree's digest can never equal the digest of
/// something else that is hashed, and a later encoding can be told apart.
const TREE_DOMAIN: &[u8] = b"skills tree digest v1\n";

/// A SHA-256 digest. Displayed, serialised and stored as `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; DIGEST_BYTES]);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Wraps a digest that was computed elsewhere, for example while streaming.
    pub fn from_bytes(digest: [u8; DIGEST_BYTES]) -> Self {
        Self(digest)
    }

    /// The 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// 64 lower-case hex digits, without the prefix.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a SHA-256 digest. Holds no part of the text: it may be long or hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not 64 characters after the optional prefix.
    #[error("a SHA-256 digest has 64 hex digits, this text has {found} characters")]
    Length {
        /// Characters found after the prefix.
        found: usize,
    },
    /// Something other than `0-9`, `a-f`, `A-F`.
    #[error("a SHA-256 digest consists of hex digits only")]
    NotHex,
    /// `md5:…`, `sha512:…` and the like.
    #[error("only sha256 digests are supported")]
    Algorithm,
}

impl Explain for DigestError {
    fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "digest-length",
            Self::NotHex => "digest-not-hex",
            Self::Algorithm => "digest-algorithm",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(
            "write it as `sha256:` followed by 64 hex digits, as `sha256sum FILE` prints them"
                .into(),
        )
    }
}

impl FromStr for Sha256 {
    type Err = DigestError;

    /// Accepts 64 hex digits in either case, with or without the `sha256:` prefix.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix(PREFIX).unwrap_or(text);
        if digits.contains(':') {
            return Err(DigestError::Algorithm);
        }
        if digits.len() != 2 * DIGEST_BYTES {
            return Err(DigestError::Length {
                found: digits.chars().count(),
            });
        }
        let mut digest = [0; DIGEST_BYTES];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| DigestError::NotHex)?;
        Ok(Self(digest))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The digest of a set of files, version 1:
///
/// ```text
/// SHA-256( "skills tree digest v1\n"
///          u64 number of files
///          for each file, in ascending order of its path's bytes:
///              u64 length of the path, the path's UTF-8 bytes
///              u8  1 if executable, else 0
///              u64 length of the content, the content )
/// ```
///
/// Integers are little-endian. Every variable part is preceded by its length, so two different
/// sets of files never have the same encoding. `files` must be in that order already.
pub(crate) fn of_files<'a>(
    files: impl ExactSizeIterator<Item = (&'a str, bool, &'a [u8])>,
) -> Sha256 {
    let mut hasher = sha2::Sha256::new();
    hasher.update(TREE_DOMAIN);
    hasher.update((files.len() as u64).to_le_bytes());
    for (path, executable, content) in files {
        hasher.update((path.len() as u64).to_le_bytes());
        hasher.update(path.as_bytes());
        hasher.update([u8::from(executable)]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    Sha256(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_reads_back_from_what_it_displays() {
        let digest = Sha256::of(b"abc");
        assert_eq!(digest.to_string(), format!("sha256:{ABC}"));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(ABC.to_uppercase().parse(), Ok(digest));
        let json = serde_json::to_string(&digest).expect("a digest serialises");
        assert_eq!(
            serde_json::from_str::<Sha256>(&json).expect("and back"),
            digest
        );
    }

    #[test]
    fn what_is_not_a_digest_is_refused_with_its_reason() {
        assert_eq!(
            "sha256:abc".parse::<Sha256>(),
            Err(DigestError::Length { found: 3 })
        );
        assert_eq!("".parse::<Sha256>(), Err(DigestError::Length { found: 0 }));
        assert_eq!("g".repeat(64).parse::<Sha256>(), Err(DigestError::NotHex));
        assert_eq!(
            format!("sha512:{ABC}").parse::<Sha256>(),
            Err(DigestError::Algorithm)
        );
    }

    /// The vectors were computed with Python's `hashlib` from the encoding in the documentation.
    #[test]
    fn the_tree_encoding_matches_independent_vectors() {
        let none: [(&str, bool, &[u8]); 0] = [];
        assert_eq!(of_files(none.into_iter()).hex(), VECTOR_EMPTY);
        let two: [(&str, bool, &[u8]); 2] = [
            ("SKILL.md", false, b"# hi\n"),
            ("scripts/run.py", true, b"print(1)\n"),
        ];
        assert_eq!(of_files(two.into_iter()).hex(), VECTOR_TWO);
    }

    const VECTOR_EMPTY: &str = "c5c6a7a43685b2c448622eb0a48ff0ac33a570d2500e824b1eadc84d1a200255";
    const VECTOR_TWO: &str = "7c2fc0818d6f9bec92a9080109cbb3f476d3b919a2d597906e012e84c9f5cce3";

    #[test]
    fn moving_a_byte_between_path_and_content_changes_the_digest() {
        let one: [(&str, bool, &[u8]); 1] = [("ab", false, b"c")];
        let other: [(&str, bool, &[u8]); 1] = [("a", false, b"bc")];
        assert_ne!(of_files(one.into_iter()), of_files(other.into_iter()));
    }
}
