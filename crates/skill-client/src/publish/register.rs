//! Registering a signing key with a registry: a signature over a challenge proves that one has it.

use skill_signing::sign;

use super::{PublishError, Publisher, Signer, challenge};

impl Publisher<'_> {
    /// Makes the registry accept this key's signatures from the user who asks. A key that is
    /// registered already is brought up to date: it may have been revoked or extended meanwhile.
    pub async fn register_key(&self, signer: &Signer<'_>) -> Result<(), PublishError> {
        let challenge = self.client.key_challenge().await?;
        challenge::check(&challenge, &self.client.registry().url)?;
        let signature = sign(
            signer.key,
            signer.passphrase,
            challenge.as_bytes(),
            self.clock.now(),
        )?;
        let armored = signer.key.public().to_armored();
        Ok(self
            .client
            .register_key(&armored, &challenge, &signature)
            .await?)
    }
}
