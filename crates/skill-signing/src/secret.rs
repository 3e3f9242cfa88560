//! Text that must not leak: passphrases, and secret keys in their armored form.

use zeroize::Zeroizing;

/// A secret that cannot be printed by accident: it has neither `Debug` nor `Display`, and its
/// memory is overwritten when it is dropped.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Write it to where it belongs and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
