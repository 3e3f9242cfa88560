//! `skills key register`: a public key is made known to a registry, with the proof that one has it.

use serde_json::json;
use skill_client::SystemClock;
use skill_client::publish::{Publisher, Signer};
use skill_signing::Keyring;

use crate::cli::RegistryArg;
use crate::cli::author::PassphraseArg;
use crate::commands::passphrase;
use crate::commands::sign::signing_key;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(
    keyring: &Keyring,
    selector: Option<&str>,
    registry: &RegistryArg,
    passphrase: &PassphraseArg,
    context: &Context,
) -> Result<(), Failure> {
    let client = context.client(registry)?;
    let named = selector
        .map(|selector| keyring.select(selector))
        .transpose()?;
    let fingerprint = match named.map(|entry| entry.key) {
        // It signs no more, and needs no proof: the registry knows it, and is told of the revocation.
        Some(key) if key.is_revoked() => {
            let armored = key.to_armored();
            context.block_on(async { Ok(client.register_key(&armored, "", "").await?) })?;
            key.fingerprint().clone()
        }
        _ => {
            let key = signing_key(keyring, selector, context)?;
            let passphrase = passphrase::of_key(&key, passphrase, context)?;
            let passphrase = passphrase.as_ref().map(|passphrase| passphrase.expose());
            let publisher = Publisher {
                client: &client,
                clock: &SystemClock,
                signer: None,
                observer: &|_| {},
            };
            let signer = Signer {
                key: &key,
                passphrase,
            };
            context.block_on(async { Ok(publisher.register_key(&signer).await?) })?;
            key.fingerprint().clone()
        }
    };
    let address = client.registry().url.to_string();
    context
        .printer
        .done("Registered", format!("{fingerprint} with {address}"));
    context
        .printer
        .document(&json!({ "fingerprint": fingerprint, "registry": address }));
    Ok(())
}
