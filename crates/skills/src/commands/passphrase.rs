//! Where the passphrase of a secret key comes from: a file, the environment, or a person. Never the
//! command line, which every process of the machine can read.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use skill_signing::{SecretKey, SecretText};

use crate::cli::author::PassphraseArg;
use crate::context::Context;
use crate::failure::{Failure, io_failure};

const VARIABLE: &str = "SKILLS_PASSPHRASE";

/// Longest first line of a passphrase file, in bytes: whatever is longer is another file.
const BYTES_MAX: u64 = 4096;

/// The passphrase of this key, or `None` if it has none.
pub fn of_key(
    key: &SecretKey,
    args: &PassphraseArg,
    context: &Context,
) -> Result<Option<SecretText>, Failure> {
    if !key.is_protected() {
        return Ok(None);
    }
    if let Some(given) = given(args, context)? {
        return Ok(Some(given));
    }
    if !context.may_ask() {
        return Err(missing(
            "the key is protected by a passphrase, and there is no terminal to ask for it",
        ));
    }
    let question = format!("Passphrase of {}", key.fingerprint().key_id());
    ask(&question, false).map(Some)
}

/// The passphrase of a key that is being made.
pub fn for_new_key(args: &PassphraseArg, context: &Context) -> Result<SecretText, Failure> {
    if let Some(given) = given(args, context)? {
        return Ok(given);
    }
    if !context.may_ask() {
        return Err(missing("there is no terminal to ask for the new key's passphrase")
            .with_help(format!("set {VARIABLE}, pass --passphrase-file FILE, or make a key without one: --no-passphrase")));
    }
    ask("Passphrase of the new key", true)
}

/// From the file or the environment.
fn given(args: &PassphraseArg, context: &Context) -> Result<Option<SecretText>, Failure> {
    match &args.passphrase_file {
        Some(path) => first_line(&context.resolve(path)).map(Some),
        None => Ok(context.env(VARIABLE).map(SecretText::new)),
    }
}

fn first_line(path: &Path) -> Result<SecretText, Failure> {
    let mut line = String::new();
    std::fs::File::open(path)
        .and_then(|file| BufReader::new(file.take(BYTES_MAX)).read_line(&mut line))
        .map_err(|error| io_failure(path, "read", &error))?;
    let passphrase = line.trim_end_matches(['\n', '\r']);
    if passphrase.is_empty() {
        return Err(Failure::bad_input(
            "passphrase-empty",
            "the first line of the passphrase file is empty",
        )
        .at_file(path)
        .with_help("write the passphrase into the first line of the file"));
    }
    Ok(SecretText::new(passphrase.to_owned()))
}

fn ask(question: &str, is_new: bool) -> Result<SecretText, Failure> {
    let mut prompt =
        inquire::Password::new(question).with_display_mode(inquire::PasswordDisplayMode::Masked);
    prompt.enable_confirmation = is_new;
    let passphrase = prompt.prompt().map_err(super::login::cancelled)?;
    if is_new && passphrase.is_empty() {
        return Err(
            Failure::bad_input("passphrase-empty", "a passphrase is not empty")
                .with_help("make a key without one: --no-passphrase"),
        );
    }
    Ok(SecretText::new(passphrase))
}

fn missing(message: &str) -> Failure {
    Failure::bad_input("passphrase-needed", message)
        .with_help(format!("set {VARIABLE}, or pass --passphrase-file FILE"))
}
