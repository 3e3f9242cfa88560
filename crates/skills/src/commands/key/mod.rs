//! `skills key`: make, import, export, list, trust, revoke, remove and register keys.

pub mod register;
mod show;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use skill_client::{Clock, SystemClock, fsx};
use skill_signing::{Change, Fingerprint, Keyring, Pins, RevocationReason};

use super::passphrase;
use crate::cli::RegistryArg;
use crate::cli::account::{KeyAction, KeyArgs};
use crate::cli::author::PassphraseArg;
use crate::context::Context;
use crate::failure::{Failure, io_failure};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Largest key file that is read; the library's own bound is tighter.
const BYTES_MAX: u64 = 1024 * 1024;

pub fn run(args: &KeyArgs, context: &Context) -> Result<(), Failure> {
    let keyring = Keyring::open(context.paths().keyring_dir());
    match &args.action {
        KeyAction::Generate {
            user_id,
            expires,
            no_passphrase,
            passphrase,
        } => {
            let passphrase = (!no_passphrase).then_some(passphrase);
            generate(&keyring, user_id, *expires, passphrase, context)
        }
        KeyAction::Import { file } => import(&keyring, file, context),
        KeyAction::Export {
            key,
            secret,
            output,
        } => export(&keyring, key, *secret, output.as_deref(), context),
        KeyAction::List => show::list(&keyring, context),
        KeyAction::Trust {
            key, skill: None, ..
        } => trust(&keyring, key, context),
        KeyAction::Trust {
            key,
            skill: Some(skill),
            registry,
        } => accept_signer(key, skill, registry, context),
        KeyAction::Revoke {
            key,
            reason,
            passphrase,
        } => revoke(&keyring, key, reason, passphrase, context),
        KeyAction::Remove { key, force } => remove(&keyring, key, *force, context),
        KeyAction::Register {
            key,
            registry,
            passphrase,
        } => register::run(&keyring, key.as_deref(), registry, passphrase, context),
    }
}

fn generate(
    keyring: &Keyring,
    user_id: &str,
    expires_days: u32,
    passphrase: Option<&PassphraseArg>,
    context: &Context,
) -> Result<(), Failure> {
    let passphrase = passphrase
        .map(|args| passphrase::for_new_key(args, context))
        .transpose()?;
    let passphrase = passphrase.as_ref().map(|passphrase| passphrase.expose());
    let valid_for = (expires_days > 0).then(|| DAY * expires_days);
    let key = keyring.generate(
        user_id,
        valid_for,
        passphrase,
        SystemClock.now(),
        &mut rand::rng(),
    )?;
    context
        .printer
        .done("Made", format!("the key {}", key.fingerprint()));
    if passphrase.is_none() {
        context
            .printer
            .warn("it has no passphrase: whoever can read the file can sign in your name");
    }
    context.printer.note(format!(
        "register it, so that a registry accepts your signatures: skills key register {}",
        key.fingerprint()
    ));
    let entry = keyring.select(key.fingerprint().as_str())?;
    context
        .printer
        .document(&show::document(&entry, SystemClock.now()));
    Ok(())
}

fn import(keyring: &Keyring, file: &Path, context: &Context) -> Result<(), Failure> {
    let bytes = read(file, context)?;
    let imported = keyring
        .import(&bytes)
        .map_err(|error| Failure::from(error).at_file(file))?;
    let fingerprint = imported.key.fingerprint();
    let verb = match imported.change {
        Change::New => "Imported",
        Change::Updated => "Updated",
        Change::Unchanged if imported.secret => "Imported",
        Change::Unchanged => "Unchanged",
    };
    let part = if imported.secret {
        "the secret key"
    } else {
        "the key"
    };
    let user_ids = imported.key.user_ids();
    let user_id = user_ids
        .first()
        .map(|user_id| format!(" ({user_id})"))
        .unwrap_or_default();
    context
        .printer
        .done(verb, format!("{part} {fingerprint}{user_id}"));
    if let Some(revocation) = imported.key.revocation() {
        context
            .printer
            .warn(format!("the key is revoked ({revocation})"));
    }
    let entry = keyring.select(fingerprint.as_str())?;
    let mut document = show::document(&entry, SystemClock.now());
    document["change"] = imported.change.as_str().into();
    context.printer.document(&document);
    Ok(())
}

fn read(file: &Path, context: &Context) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(BYTES_MAX).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(context.resolve(file))
            .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes))
    };
    read.map_err(|error| io_failure(file, "read", &error))?;
    Ok(bytes)
}

fn export(
    keyring: &Keyring,
    selector: &str,
    secret: bool,
    output: Option<&Path>,
    context: &Context,
) -> Result<(), Failure> {
    let entry = keyring.select(selector)?;
    let fingerprint = entry.key.fingerprint();
    let exported = secret
        .then(|| keyring.export_secret(fingerprint))
        .transpose()?;
    let public = entry.key.to_armored();
    let armored = exported
        .as_ref()
        .map_or(public.as_str(), |secret| secret.expose());
    if let Some(output) = output {
        let path = context.resolve(output);
        fsx::write_atomic(
            &path,
            armored.as_bytes(),
            if secret { 0o600 } else { 0o644 },
        )?;
        context
            .printer
            .done("Exported", format!("{fingerprint} to {}", output.display()));
        context.printer.document(
            &json!({ "fingerprint": fingerprint, "secret": secret, "output": path.display().to_string() }),
        );
    } else if context.printer.is_json() {
        context
            .printer
            .document(&json!({ "fingerprint": fingerprint, "secret": secret, "armored": armored }));
    } else {
        context.printer.raw(armored.as_bytes());
    }
    Ok(())
}

fn trust(keyring: &Keyring, key: &str, context: &Context) -> Result<(), Failure> {
    // The whole fingerprint: a stranger can make a key with the same end.
    let fingerprint: Fingerprint = key.parse()?;
    keyring.trust(&fingerprint, SystemClock.now())?;
    context.printer.done("Trusted", fingerprint.to_string());
    let entry = keyring.select(fingerprint.as_str())?;
    context
        .printer
        .document(&show::document(&entry, SystemClock.now()));
    Ok(())
}

/// The one way to a new signer of an installed skill.
fn accept_signer(
    key: &str,
    skill: &str,
    registry: &RegistryArg,
    context: &Context,
) -> Result<(), Failure> {
    let fingerprint: Fingerprint = key.parse()?;
    let skill: skill_format::SkillName = skill.parse()?;
    let registry = context
        .config()?
        .registry(registry.registry.as_deref())?
        .url
        .to_string();
    let pins = Pins::open(context.paths().pins_file());
    let former = pins.trust(&registry, skill.as_str(), &fingerprint, SystemClock.now())?;
    context.printer.done(
        "Trusted",
        format!("{fingerprint} as the signer of {skill} from {registry}"),
    );
    if let Some(former) = &former {
        context.printer.note(format!("until now it was {former}"));
    }
    context.printer.document(&json!({
        "skill": skill, "registry": registry, "fingerprint": fingerprint, "former": former,
    }));
    Ok(())
}

fn revoke(
    keyring: &Keyring,
    selector: &str,
    text: &str,
    passphrase: &PassphraseArg,
    context: &Context,
) -> Result<(), Failure> {
    let entry = keyring.select(selector)?;
    let fingerprint = entry.key.fingerprint();
    let secret = keyring.secret(fingerprint)?;
    if context.may_ask() {
        let question =
            format!("Revoke {fingerprint} for good? Nothing it has signed will count any more.");
        let is_sure = inquire::Confirm::new(&question)
            .with_default(false)
            .prompt()
            .map_err(super::login::cancelled)?;
        if !is_sure {
            return Err(Failure::failed("cancelled", "nothing was changed"));
        }
    }
    let passphrase = passphrase::of_key(&secret, passphrase, context)?;
    let passphrase = passphrase.as_ref().map(|passphrase| passphrase.expose());
    let (reason, text) = reason_of(text);
    keyring.revoke(fingerprint, passphrase, reason, text, SystemClock.now())?;
    context.printer.done("Revoked", fingerprint.to_string());
    context.printer.note(format!(
        "tell every registry that knows it: skills key register {fingerprint}"
    ));
    let entry = keyring.select(fingerprint.as_str())?;
    context
        .printer
        .document(&show::document(&entry, SystemClock.now()));
    Ok(())
}

/// OpenPGP's reason, if the text begins with its name: `compromised: laptop stolen`.
fn reason_of(text: &str) -> (RevocationReason, &str) {
    let known = [
        RevocationReason::Compromised,
        RevocationReason::Superseded,
        RevocationReason::Retired,
    ];
    let (first, rest) = text.split_once(':').unwrap_or((text, ""));
    match known
        .into_iter()
        .find(|reason| reason.as_str().eq_ignore_ascii_case(first.trim()))
    {
        Some(reason) => (reason, rest.trim()),
        None => (RevocationReason::Unspecified, text.trim()),
    }
}

fn remove(
    keyring: &Keyring,
    selector: &str,
    force: bool,
    context: &Context,
) -> Result<(), Failure> {
    let fingerprint = keyring.select(selector)?.key.fingerprint().clone();
    keyring.remove(&fingerprint, force)?;
    context
        .printer
        .done("Removed", format!("the key {fingerprint}"));
    context.printer.document(&json!({ "removed": fingerprint }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_read_from_the_beginning_of_the_text() {
        let compromised = RevocationReason::Compromised;
        assert_eq!(
            reason_of("compromised: laptop stolen"),
            (compromised, "laptop stolen")
        );
        assert_eq!(reason_of("Compromised"), (compromised, ""));
        assert_eq!(
            reason_of("lost: all of it"),
            (RevocationReason::Unspecified, "lost: all of it")
        );
        assert_eq!(reason_of(""), (RevocationReason::Unspecified, ""));
    }
}
