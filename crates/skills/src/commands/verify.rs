//! `skills verify`: who signed an archive, or an installed skill, and whether it is still that.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use skill_client::config::RegistryUrl;
use skill_client::index::InstalledSkill;
use skill_client::store::Drift;
use skill_client::verify::{Claim, Locked, Verdict};
use skill_client::{Clock, Store, SystemClock, Verifier};
use skill_format::SkillName;
use skill_signing::{Keyring, Pins, PublicKey, SignatureInfo, Statement, Trust, verify_statement};

use super::sign::{signature_path, statement_about};
use crate::cli::RegistryArg;
use crate::cli::author::VerifyArgs;
use crate::context::Context;
use crate::failure::{Failure, io_failure};

/// Largest signature or key file that is read; the library's own bounds are tighter.
const BYTES_MAX: u64 = 1024 * 1024;

pub fn run(args: &VerifyArgs, context: &Context) -> Result<(), Failure> {
    let path = context.resolve(&args.target);
    // A file of that name comes first; what cannot be a skill's name is meant as a file.
    match args.target.parse::<SkillName>() {
        Ok(name) if !path.is_file() => installed(&name, args, context),
        _ => archive(&path, args, context),
    }
}

fn archive(path: &Path, args: &VerifyArgs, context: &Context) -> Result<(), Failure> {
    let statement = statement_about(path, args.version.as_deref())?;
    let signature = match &args.signature {
        Some(signature) => context.resolve(signature),
        None => signature_path(path),
    };
    let signature = read_text(&signature)?;
    let now = SystemClock.now();
    let keyring = Keyring::open(context.paths().keyring_dir());
    let (info, user_id, trust) = match &args.key {
        Some(file) => {
            let key = read_key(&context.resolve(file))?;
            let info = verify_statement(&key, &statement, &signature, now)?;
            (info, key.user_ids().into_iter().next(), None)
        }
        None => {
            let (info, trust) = keyring.verify(&statement.to_bytes(), &signature, now)?;
            let key = keyring.get(&info.fingerprint)?;
            let user_id = key.and_then(|key| key.user_ids().into_iter().next());
            (info, user_id, Some(trust))
        }
    };
    report(&statement, &info, user_id.as_deref(), trust, context);
    Ok(())
}

fn report(
    statement: &Statement,
    info: &SignatureInfo,
    user_id: Option<&str>,
    trust: Option<Trust>,
    context: &Context,
) {
    let signer = match user_id {
        Some(user_id) => format!("{} ({user_id})", info.fingerprint),
        None => info.fingerprint.to_string(),
    };
    let what = format!("{}@{}", statement.name(), statement.version());
    let day = info.signed_at.strftime("%Y-%m-%d");
    context
        .printer
        .line(format!("{what} is signed by {signer} on {day}"));
    if trust == Some(Trust::Unknown) {
        context.printer.warn(format!(
            "you have not said that you trust this key; compare its fingerprint, then: skills key trust {}",
            info.fingerprint
        ));
    }
    context.printer.document(&json!({
        "name": statement.name(),
        "version": statement.version().to_string(),
        "sha256": statement.sha256(),
        "size": statement.size(),
        "signer": info.fingerprint,
        "signedBy": info.signed_by,
        "signedAt": info.signed_at,
        "userId": user_id,
        "trust": trust.map(Trust::as_str),
    }));
}

/// An installed skill: its files are those that were installed, and these were signed.
fn installed(name: &SkillName, args: &VerifyArgs, context: &Context) -> Result<(), Failure> {
    let paths = context.paths();
    let store = Store::new(paths.store_dir());
    let index = store.index()?;
    let skill = index.get(name).ok_or_else(|| {
        Failure::failed(
            "not-installed",
            format!("{name} is neither a file here nor an installed skill"),
        )
        .with_help("`skills list` shows what is installed")
    })?;
    check_files(&store, skill)?;
    let now = SystemClock.now();
    let (statement, signature) = signed_release(skill, args, context)?;
    let verdict = match &args.key {
        Some(file) => {
            let key = read_key(&context.resolve(file))?;
            let signature = signature.as_deref().ok_or_else(|| unsigned(skill))?;
            let info = verify_statement(&key, &statement, signature, now)?;
            Verdict::Signed {
                signer: info.fingerprint,
                first: false,
            }
        }
        None => verify_as_installed(skill, &statement, signature.as_deref(), now, context)?,
    };
    let signer = verdict.signer().ok_or_else(|| unsigned(skill))?;
    let what = format!("{}@{}", skill.name, skill.version);
    context.printer.line(format!(
        "{what} is as it was installed and signed by {signer}"
    ));
    context
        .printer
        .document(&installed_document(skill, signer.as_str()));
    Ok(())
}

fn check_files(store: &Store, skill: &InstalledSkill) -> Result<(), Failure> {
    let problem = match store.drift(skill) {
        Drift::None => return Ok(()),
        Drift::Missing => "its folder is gone".to_owned(),
        Drift::Changed => "its files were changed since it was installed".to_owned(),
        Drift::Unreadable(reason) => format!("its folder cannot be read: {reason}"),
        Drift::Unknown => "the index does not say what was installed".to_owned(),
    };
    Err(Failure::failed(
        "skill-changed",
        format!("{}@{}: {problem}", skill.name, skill.version),
    )
    .at_file(store.skill_dir(skill))
    .with_help(format!(
        "`skills install --force {}` installs it anew",
        skill.name
    )))
}

/// What must have been signed for this skill, and the signature: from the file that is named, else
/// from the registry that it came from.
fn signed_release(
    skill: &InstalledSkill,
    args: &VerifyArgs,
    context: &Context,
) -> Result<(Statement, Option<String>), Failure> {
    let statement = |size| Statement::new(skill.package(), &skill.version, skill.checksum, size);
    if let Some(file) = &args.signature {
        let signature = read_text(&context.resolve(file))?;
        return Ok((statement(archive_size(skill, context)?), Some(signature)));
    }
    let Some(registry) = skill.source.registry() else {
        return Err(unsigned(skill));
    };
    let client = context.client(&of_registry(registry))?;
    let release =
        context.block_on(async { Ok(client.release(skill.package(), &skill.version).await?) })?;
    client.remember();
    // The size is the registry's word, but the signature is over it and over the digest.
    Ok((statement(release.release.size), release.signature))
}

/// The size of the archive that was installed, which must still be in the cache.
fn archive_size(skill: &InstalledSkill, context: &Context) -> Result<u64, Failure> {
    let cache = skill_client::Cache::new(context.paths().cache_dir());
    let archive = cache.blob(&skill.checksum)?.ok_or_else(|| {
        Failure::failed(
            "archive-not-cached",
            "the archive that was installed is no longer in the cache",
        )
        .with_help("verify the archive itself: skills verify FILE.spm --signature FILE")
    })?;
    Ok(archive.len() as u64)
}

/// By the rules of an install: the pinned signer, the keyring, the registry's keys.
fn verify_as_installed(
    skill: &InstalledSkill,
    statement: &Statement,
    signature: Option<&str>,
    now: Timestamp,
    context: &Context,
) -> Result<Verdict, Failure> {
    let paths = context.paths();
    let verifier = Verifier::new(
        Keyring::open(paths.keyring_dir()),
        Pins::open(paths.pins_file()),
    );
    let registry = skill.source.registry().unwrap_or_default();
    let locked = Locked {
        sha256: Some(skill.checksum),
        signer: skill.signer.clone(),
    };
    let claim = Claim {
        registry,
        statement: statement.clone(),
        signature,
        signer_hint: skill.signer.as_deref(),
        locked: Some(&locked),
        allow_unsigned: false,
    };
    let client = match registry.parse::<RegistryUrl>() {
        Ok(_) => Some(context.client(&of_registry(registry))?),
        Err(_) => None,
    };
    context.block_on(async { Ok(verifier.verify(&claim, client.as_ref(), now).await?) })
}

fn of_registry(url: &str) -> RegistryArg {
    RegistryArg {
        registry: Some(url.to_owned()),
    }
}

fn unsigned(skill: &InstalledSkill) -> Failure {
    Failure::failed(
        "unsigned",
        format!(
            "{}@{} is not signed (installed from {})",
            skill.name, skill.version, skill.source
        ),
    )
    .with_help("if you have its signature, name it with --signature FILE")
}

fn installed_document(skill: &InstalledSkill, signer: &str) -> Value {
    json!({
        "name": skill.name,
        "version": skill.version.to_string(),
        "sha256": skill.checksum,
        "signer": signer,
        "source": skill.source.to_string(),
        "unchanged": true,
    })
}

fn read_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_bytes(&read_small(path)?).map_err(|error| Failure::from(error).at_file(path))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    // What is not UTF-8 is not armor either, and is called that.
    Ok(String::from_utf8_lossy(&read_small(path)?).into_owned())
}

fn read_small(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| io_failure(path, "read", &error))?;
    Ok(bytes)
}
