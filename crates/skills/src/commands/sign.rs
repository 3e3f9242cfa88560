//! `skills sign`: a detached signature beside an archive.

use std::path::{Path, PathBuf};

use serde_json::json;
use skill_client::{Clock, SystemClock, fsx};
use skill_format::{Limits, ReadOptions, Skill, SkillTree, parse_version};
use skill_signing::{Keyring, SecretKey, Statement, sign};

use super::passphrase;
use crate::cli::author::SignArgs;
use crate::context::Context;
use crate::failure::{Failure, io_failure};

pub fn run(args: &SignArgs, context: &Context) -> Result<(), Failure> {
    let path = context.resolve(&args.file);
    let statement = statement_about(&path, args.version.as_deref())?;
    if args.print_statement {
        context
            .printer
            .document(&json!({ "statement": statement.to_string() }));
        if !context.printer.is_json() {
            // To the byte: this is what gpg is to sign.
            context.printer.raw(&statement.to_bytes());
        }
        return Ok(());
    }
    let now = SystemClock.now();
    let keyring = Keyring::open(context.paths().keyring_dir());
    let key = signing_key(&keyring, args.key.as_deref(), context)?;
    let passphrase = passphrase::of_key(&key, &args.passphrase, context)?;
    let passphrase = passphrase.as_ref().map(|passphrase| passphrase.expose());
    let signature = sign(&key, passphrase, &statement.to_bytes(), now)?;
    let output = match &args.output {
        Some(output) => context.resolve(output),
        None => signature_path(&path),
    };
    fsx::write_atomic(&output, signature.as_bytes(), 0o644)?;
    context.printer.done(
        "Signed",
        format!(
            "{}@{} with {}: {}",
            statement.name(),
            statement.version(),
            key.fingerprint(),
            output.display()
        ),
    );
    context.printer.document(&json!({
        "name": statement.name(),
        "version": statement.version().to_string(),
        "sha256": statement.sha256(),
        "size": statement.size(),
        "fingerprint": key.fingerprint(),
        "signature": output.display().to_string(),
    }));
    Ok(())
}

/// The key that is named, else the configured one, else the only usable one.
pub fn signing_key(
    keyring: &Keyring,
    named: Option<&str>,
    context: &Context,
) -> Result<SecretKey, Failure> {
    let configured = context.config()?.settings.signing_key;
    Ok(keyring.signing_key(named.or(configured.as_deref()), SystemClock.now())?)
}

/// Where the signature of an archive lies: `FILE.asc`.
pub fn signature_path(archive: &Path) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(".asc");
    PathBuf::from(path)
}

/// What is signed about the archive in this file. It is read as an install reads it: what could not
/// be installed is not signed.
pub fn statement_about(archive: &Path, version: Option<&str>) -> Result<Statement, Failure> {
    let bytes = read_archive(archive)?;
    let options = ReadOptions {
        folder_name: None,
        version: version.map(parse_version).transpose()?,
    };
    let tree = SkillTree::read_archive(&bytes, &Limits::default())
        .map_err(|error| Failure::from(error).at_file(archive))?;
    let manifest = Skill::from_tree(tree, &options)
        .map_err(|error| Failure::from(error).at_file(archive))?
        .manifest;
    let version = manifest.version.ok_or_else(|| {
        Failure::bad_input(
            "version-missing",
            format!("{} does not say its version", manifest.name),
        )
        .at_file(archive)
        .with_help("name it with --version, or write it into the skill and pack it again")
    })?;
    Ok(Statement::about(&manifest.name, &version, &bytes))
}

fn read_archive(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot_read = |error| io_failure(path, "read", &error);
    let metadata = std::fs::metadata(path).map_err(cannot_read)?;
    if metadata.is_dir() {
        return Err(Failure::bad_input(
            "is-a-folder",
            "this is a folder; signatures are over archives",
        )
        .at_file(path)
        .with_help("pack it first: skills pack DIR"));
    }
    let max = Limits::default().archive_bytes_max;
    if metadata.len() > max {
        return Err(Failure::bad_input(
            "archive-too-large",
            format!("an archive has at most {max} bytes"),
        )
        .at_file(path));
    }
    // What has no length, such as a pipe, is refused by the reader if it is too long.
    fsx::read_start(path, max).map_err(cannot_read)
}
