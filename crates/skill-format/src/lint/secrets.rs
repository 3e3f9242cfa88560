//! Files that usually hold secrets: whoever installs the skill can read them, for ever.

use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::tree::{SkillFile, SkillTree};

use super::{Report, Subject};

/// Code of the remark about a file that looks like a secret.
pub const SECRET_FILE: &str = "secret-file";

/// Ends of names of files that show what is to be written, without the secret.
const SAMPLES: [&str; 3] = [".example", ".sample", ".template"];

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    for path in secret_files(subject.tree) {
        let message =
            "this file usually holds a secret, which everybody who gets the skill can read";
        let help = format!("leave it out: write the line `/{path}` into .skillignore");
        report.other(path, Diagnostic::warning(SECRET_FILE, message).help(help));
    }
}

/// The files of a skill that by their names hold secrets: private keys, passwords, tokens.
pub fn secret_files(tree: &SkillTree) -> impl Iterator<Item = &str> {
    tree.iter()
        .filter(|(path, file)| is_secret(path, file))
        .map(|(path, _)| path)
}

fn is_secret(path: &str, file: &SkillFile) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    if matches!(
        name.as_str(),
        "id_rsa"
            | "id_ed25519"
            | "id_ecdsa"
            | "id_dsa"
            | ".npmrc"
            | ".netrc"
            | ".git-credentials"
            | ".pypirc"
    ) {
        return true;
    }
    match Path::new(&name).extension().and_then(|end| end.to_str()) {
        Some("key") => true,
        Some("pem") => !is_public(&file.bytes),
        _ => is_environment(&name),
    }
}

/// `.env`, `.env.local`, `.env-production`, `.envrc`; not what shows how to write one.
fn is_environment(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(".env") else {
        return false;
    };
    (rest.is_empty() || rest == "rc" || rest.starts_with(['.', '-', '_']))
        && !SAMPLES.iter().any(|end| name.ends_with(end))
}

/// Certificates and public keys are written in the same form as private ones.
fn is_public(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    let mut kinds = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN "))
        .peekable();
    kinds.peek().is_some()
        && kinds.all(|kind| kind.starts_with("CERTIFICATE") || kind.contains("PUBLIC KEY"))
}
