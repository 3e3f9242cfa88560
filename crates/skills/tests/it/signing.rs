//! `skills sign` and `skills verify`, and gpg on either side.

use std::path::PathBuf;
use std::process::Command;

use skill_format::{SkillFile, SkillTree};

use crate::support::{Ran, Sandbox};

const SKILL: &str = "---
name: csv-analyzer
description: Analyses CSV files. Use it when asked to.
license: MIT
metadata:
  version: 1.2.3
---

# csv-analyzer
";

/// A user with a key without passphrase and a packed skill.
struct Author {
    sandbox: Sandbox,
    fingerprint: String,
}

impl Author {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        archive(&sandbox, "csv.spm", SKILL);
        let ran = sandbox
            .run(&["--json", "key", "generate", "alice", "--no-passphrase"])
            .ok();
        let fingerprint = ran.json()["fingerprint"]
            .as_str()
            .expect("a fingerprint")
            .to_owned();
        Self {
            sandbox,
            fingerprint,
        }
    }

    fn export(&self, other: &Sandbox) {
        let armored = self
            .sandbox
            .run(&["key", "export", &self.fingerprint])
            .ok()
            .stdout();
        other.write("alice.asc", &armored);
    }
}

fn archive(sandbox: &Sandbox, name: &str, skill_md: &str) -> PathBuf {
    let mut tree = SkillTree::new();
    tree.insert("SKILL.md", SkillFile::plain(skill_md))
        .expect("a good path");
    let path = sandbox.project().join(name);
    std::fs::write(&path, tree.pack()).expect("a file");
    path
}

#[track_caller]
fn refused(ran: &Ran, exit_code: i32, code: &str) {
    assert_eq!(ran.code(), exit_code, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains(&format!("[{code}]")),
        "{}",
        ran.snapshot()
    );
}

#[test]
fn a_signed_archive_verifies_here_and_elsewhere() {
    let author = Author::new();
    let signed = author
        .sandbox
        .run(&["--json", "sign", "csv.spm"])
        .ok()
        .json();
    assert_eq!(signed["name"], "csv-analyzer");
    assert_eq!(signed["version"], "1.2.3");
    assert_eq!(signed["fingerprint"], author.fingerprint.as_str());
    let ran = author.sandbox.run(&["verify", "csv.spm"]).ok();
    assert!(
        ran.stdout().starts_with(&format!(
            "csv-analyzer@1.2.3 is signed by {} (alice) on ",
            author.fingerprint
        )),
        "{}",
        ran.snapshot()
    );
    assert!(
        ran.stderr().is_empty(),
        "one's own key is trusted:\n{}",
        ran.snapshot()
    );

    let user = Sandbox::new();
    for file in ["csv.spm", "csv.spm.asc"] {
        std::fs::copy(
            author.sandbox.project().join(file),
            user.project().join(file),
        )
        .unwrap();
    }
    refused(&user.run(&["verify", "csv.spm"]), 1, "signer-unknown");
    author.export(&user);
    let named = user
        .run(&["--json", "verify", "csv.spm", "--key", "alice.asc"])
        .ok()
        .json();
    assert_eq!(named["signer"], author.fingerprint.as_str());
    user.run(&["key", "import", "alice.asc"]).ok();
    let known = user.run(&["verify", "csv.spm"]).ok();
    assert!(
        known.stderr().contains("skills key trust"),
        "{}",
        known.snapshot()
    );
    user.run(&["key", "trust", &author.fingerprint]).ok();
    let trusted = user.run(&["verify", "csv.spm"]).ok();
    assert!(trusted.stderr().is_empty(), "{}", trusted.snapshot());
}

#[test]
fn another_archive_under_the_same_signature_is_refused() {
    let author = Author::new();
    author.sandbox.run(&["sign", "csv.spm"]).ok();
    archive(&author.sandbox, "csv.spm", &format!("{SKILL}\nrm -rf\n"));
    let ran = author.sandbox.run(&["verify", "csv.spm"]);
    refused(&ran, 1, "signature-bad");
    assert!(
        ran.stderr().contains("help: do not use it"),
        "{}",
        ran.snapshot()
    );
    archive(&author.sandbox, "csv.spm", &SKILL.replace("1.2.3", "1.2.4"));
    refused(
        &author.sandbox.run(&["verify", "csv.spm"]),
        1,
        "signature-bad",
    );
}

#[test]
fn a_revoked_key_neither_signs_nor_verifies() {
    let author = Author::new();
    author.sandbox.run(&["sign", "csv.spm"]).ok();
    author
        .sandbox
        .run(&["key", "revoke", &author.fingerprint, "--reason", "retired"])
        .ok();
    refused(
        &author.sandbox.run(&["verify", "csv.spm"]),
        1,
        "key-revoked",
    );
    refused(
        &author.sandbox.run(&["sign", "csv.spm"]),
        1,
        "no-usable-signing-key",
    );
    let named = author
        .sandbox
        .run(&["sign", "csv.spm", "--key", &author.fingerprint]);
    refused(&named, 1, "key-revoked");
}

#[test]
fn what_is_missing_is_named() {
    let author = Author::new();
    refused(&author.sandbox.run(&["verify", "csv.spm"]), 2, "io");
    refused(&author.sandbox.run(&["sign", "nowhere.spm"]), 2, "io");
    refused(&author.sandbox.run(&["sign", "."]), 2, "is-a-folder");
    refused(
        &author.sandbox.run(&["verify", "no-such-skill"]),
        1,
        "not-installed",
    );
    author.sandbox.write("broken.spm", "not an archive");
    let broken = author.sandbox.run(&["sign", "broken.spm"]);
    assert_eq!(broken.code(), 2, "{}", broken.snapshot());
    assert!(
        broken.stderr().contains("broken.spm"),
        "{}",
        broken.snapshot()
    );

    archive(
        &author.sandbox,
        "bare.spm",
        "---\nname: bare\ndescription: Has no version. Use it never.\n---\n\nbody\n",
    );
    refused(
        &author.sandbox.run(&["sign", "bare.spm"]),
        2,
        "version-missing",
    );
    author
        .sandbox
        .run(&["sign", "bare.spm", "--version", "1.0.0"])
        .ok();
    author
        .sandbox
        .run(&["verify", "bare.spm", "--version", "1.0.0"])
        .ok();
    refused(
        &author
            .sandbox
            .run(&["verify", "bare.spm", "--version", "1.0.1"]),
        1,
        "signature-bad",
    );
}

#[test]
fn a_passphrase_comes_from_the_environment_or_a_file_and_is_never_shown() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "csv.spm", SKILL);
    let mut generate = sandbox.command(&["key", "generate", "alice"]);
    let made = sandbox
        .finish(generate.env("SKILLS_PASSPHRASE", "correct horse"))
        .ok();
    refused(&sandbox.run(&["sign", "csv.spm"]), 2, "passphrase-needed");
    sandbox.write("passphrase", "correct horse\nsecond line\n");
    let signed = sandbox
        .run(&["sign", "csv.spm", "--passphrase-file", "passphrase"])
        .ok();
    sandbox.run(&["verify", "csv.spm"]).ok();
    for ran in [made, signed] {
        assert!(
            !ran.snapshot().contains("correct horse"),
            "{}",
            ran.snapshot()
        );
    }
}

#[test]
fn gpg_signs_the_printed_statement_and_checks_ours() {
    let author = Author::new();
    let gpg = Gpg::new();
    let statement = author
        .sandbox
        .run(&["sign", "csv.spm", "--print-statement"])
        .ok()
        .stdout();
    assert!(
        statement.starts_with("skills statement 1\nname: csv-analyzer\nversion: 1.2.3\nsha256: "),
        "{statement}"
    );
    author.sandbox.write("statement", &statement);
    gpg.run(
        &author.sandbox,
        &[
            "--passphrase",
            "",
            "--quick-generate-key",
            "bob",
            "ed25519",
            "sign",
            "never",
        ],
    );
    gpg.run(
        &author.sandbox,
        &[
            "--passphrase",
            "",
            "--armor",
            "--detach-sign",
            "--output",
            "csv.spm.asc",
            "statement",
        ],
    );
    gpg.run(
        &author.sandbox,
        &["--armor", "--output", "bob.asc", "--export", "bob"],
    );
    author.sandbox.run(&["key", "import", "bob.asc"]).ok();
    let verified = author.sandbox.run(&["verify", "csv.spm"]).ok();
    assert!(
        verified.stdout().contains("(bob)"),
        "{}",
        verified.snapshot()
    );

    author
        .sandbox
        .run(&["sign", "csv.spm", "-o", "ours.asc"])
        .ok();
    author.export(&author.sandbox);
    gpg.run(&author.sandbox, &["--import", "alice.asc"]);
    gpg.run(&author.sandbox, &["--verify", "ours.asc", "statement"]);
}

/// The real gpg with a home folder of its own, working in a sandbox's project.
struct Gpg {
    /// Short: gpg's agent listens on a socket in it.
    home: tempfile::TempDir,
}

impl Gpg {
    fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("g")
            .tempdir_in("/tmp")
            .expect("a folder in /tmp");
        Self { home }
    }

    fn run(&self, sandbox: &Sandbox, arguments: &[&str]) {
        let output = Command::new("gpg")
            .env_remove("GNUPGHOME")
            .current_dir(sandbox.project())
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--batch", "--no-tty", "--yes", "--quiet", "--pinentry-mode", "loopback", "--trust-model", "always"])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("`gpg` cannot be started ({error}); this test needs GnuPG 2.2 or later: apt-get install gnupg"));
        assert!(
            output.status.success(),
            "gpg {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Ends the agent that gpg has started for this home folder.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}
