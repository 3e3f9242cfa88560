//! The real `gpg` in a home folder of its own, at a time of our choosing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::support;

pub struct Gpg {
    /// Short, since gpg's agent listens on a socket in it (108 bytes at most).
    home: TempDir,
    now: Timestamp,
}

impl Gpg {
    pub fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("g")
            .tempdir_in("/tmp")
            .expect("a folder in /tmp");
        let gpg = Self {
            home,
            now: support::now(),
        };
        gpg.run(&["--version"]);
        gpg
    }

    /// From now on, gpg lives at this time.
    pub fn travel(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Makes a key without passphrase and returns its fingerprint.
    pub fn generate(&self, user_id: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        self.generate_protected(user_id, algorithm, usage, expires, "")
    }

    pub fn generate_protected(
        &self,
        user_id: &str,
        algorithm: &str,
        usage: &str,
        expires: &str,
        passphrase: &str,
    ) -> String {
        let arguments = [
            "--passphrase",
            passphrase,
            "--quick-generate-key",
            user_id,
            algorithm,
            usage,
            expires,
        ];
        self.run(&arguments);
        self.fingerprint(user_id)
    }

    pub fn add_subkey(&self, fingerprint: &str, algorithm: &str, usage: &str, expires: &str) {
        self.run(&[
            "--passphrase",
            "",
            "--quick-add-key",
            fingerprint,
            algorithm,
            usage,
            expires,
        ]);
    }

    /// The primary key's fingerprint.
    pub fn fingerprint(&self, user_id: &str) -> String {
        self.fingerprints(user_id).remove(0)
    }

    /// Fingerprints of the primary key and the subkeys, in this order.
    pub fn fingerprints(&self, user_id: &str) -> Vec<String> {
        let listing = self.run(&[
            "--with-colons",
            "--fingerprint",
            "--fingerprint",
            "--list-keys",
            user_id,
        ]);
        let listing = String::from_utf8(listing).expect("a listing is text");
        let lines = listing.lines().filter(|line| line.starts_with("fpr:"));
        lines
            .map(|line| line.split(':').nth(9).expect("ten fields").to_owned())
            .collect()
    }

    pub fn export(&self, key: &str) -> String {
        text(self.run(&["--armor", "--export", key]))
    }

    pub fn export_binary(&self, key: &str) -> Vec<u8> {
        self.run(&["--export", key])
    }

    pub fn export_secret(&self, key: &str, passphrase: &str) -> String {
        text(self.run(&[
            "--passphrase",
            passphrase,
            "--armor",
            "--export-secret-keys",
            key,
        ]))
    }

    pub fn import(&self, key: &[u8]) {
        self.run(&[
            "--import",
            self.file("import", key).to_str().expect("a UTF-8 path"),
        ]);
    }

    /// A detached signature in armor.
    pub fn sign(&self, key: &str, message: &[u8]) -> String {
        self.sign_with(key, message, &["--armor", "--detach-sign"])
    }

    /// What gpg writes when it signs in this way.
    pub fn sign_with(&self, key: &str, message: &[u8], options: &[&str]) -> String {
        text(self.sign_bytes(key, message, options))
    }

    pub fn sign_bytes(&self, key: &str, message: &[u8], options: &[&str]) -> Vec<u8> {
        let message = self.file("message", message);
        let mut arguments = vec!["--passphrase", "", "--local-user", key, "--output", "-"];
        arguments.extend(options);
        arguments.push(message.to_str().expect("a UTF-8 path"));
        self.run(&arguments)
    }

    /// gpg's machine-readable verdict on a detached signature, whatever it is.
    pub fn verdict(&self, message: &[u8], signature: &str) -> String {
        let message = self.file("message", message);
        let signature = self.file("message.asc", signature.as_bytes());
        let output = self
            .command()
            .args(["--status-fd", "1", "--verify"])
            .args([&signature, &message])
            .output()
            .expect("gpg starts");
        text(output.stdout)
    }

    /// Answers gpg's questions about a key, one per line.
    pub fn edit(&self, key: &str, answers: &str) {
        let mut child = self
            .command()
            .args(["--passphrase", "", "--command-fd", "0", "--edit-key", key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin
            .write_all(answers.as_bytes())
            .expect("gpg reads its answers");
        drop(stdin);
        checked(child.wait_with_output().expect("gpg ends"));
    }

    /// The revocation that gpg makes with every key, ready to be imported.
    pub fn revocation(&self, fingerprint: &str) -> String {
        let path = self
            .home
            .path()
            .join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        let text = std::fs::read_to_string(path).expect("gpg writes a revocation with each key");
        // The file begins with an explanation, and the armor with a colon against accidents.
        let start = text.find(":-----BEGIN").expect("an armor block");
        text[start + 1..].to_owned()
    }

    pub fn run(&self, arguments: &[&str]) -> Vec<u8> {
        checked(self.command().args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| {
            panic!("`gpg` cannot be started ({error}); these tests need GnuPG 2.2 or later: apt-get install gnupg")
        }))
    }

    /// A file in the home folder.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("the home folder is writable");
        path
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command
            .env_remove("GNUPGHOME")
            .env("LC_ALL", "C")
            .arg("--homedir")
            .arg(self.path());
        command.args([
            "--batch",
            "--no-tty",
            "--yes",
            "--quiet",
            "--pinentry-mode",
            "loopback",
        ]);
        command.args(["--trust-model", "always", "--no-auto-check-trustdb"]);
        let now = self.now.strftime("%Y%m%dT%H%M%S!").to_string();
        command.args(["--faked-system-time", &now]);
        command
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Ends the agent that gpg has started for this home folder.
        let kill = ["--kill", "all"];
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.path())
            .args(kill)
            .output();
    }
}

fn checked(output: Output) -> Vec<u8> {
    assert!(
        output.status.success(),
        "gpg failed: {}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    output.stdout
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("armor is text")
}
