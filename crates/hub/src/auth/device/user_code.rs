//! The code that a person types (RFC 8628 §6.1): eight consonants, so that it spells no word and
//! no letter is mistaken for a digit. 20^8 are 25.6 billion codes.

use std::fmt;

use crate::auth::random;

const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// A well-formed user code, written `BCDF-GHJK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    pub fn generate() -> Self {
        Self::formatted(&random::word(ALPHABET, LENGTH))
    }

    /// Reads what a person typed: any case, with or without the hyphen and spaces.
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.len() > 32 {
            return None;
        }
        let letters: String = typed
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let fits = letters.len() == LENGTH && letters.bytes().all(|byte| ALPHABET.contains(&byte));
        fits.then(|| Self::formatted(&letters))
    }

    fn formatted(letters: &str) -> Self {
        let (front, back) = letters.split_at(LENGTH / 2);
        Self(format!("{front}-{back}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_type_is_understood() {
        let code = UserCode::parse("BCDF-GHJK").expect("a code");
        for typed in ["bcdfghjk", " bcdf ghjk ", "BCDF-GHJK", "b-c-d-f-g-h-j-k"] {
            assert_eq!(UserCode::parse(typed), Some(code.clone()), "{typed}");
        }
        for typed in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJA",
            "BCDF-GHJ1",
            "BCDF-GHJKL",
            "БCDF-GHJK",
        ] {
            assert_eq!(UserCode::parse(typed), None, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn codes_read_back(_ in 0..50) {
            let code = UserCode::generate();
            prop_assert_eq!(UserCode::parse(code.as_str()), Some(code));
        }

        #[test]
        fn no_text_panics(typed in "\\PC{0,40}") {
            let _ = UserCode::parse(&typed);
        }
    }
}
