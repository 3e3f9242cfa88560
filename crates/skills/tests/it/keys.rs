//! `skills key`: a key's life on the command line.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Ran, Sandbox};

/// Makes a key without passphrase and returns its fingerprint.
fn generate(sandbox: &Sandbox, user_id: &str) -> String {
    let ran = sandbox
        .run(&["--json", "key", "generate", user_id, "--no-passphrase"])
        .ok();
    ran.json()["fingerprint"]
        .as_str()
        .expect("a fingerprint")
        .to_owned()
}

fn keys(sandbox: &Sandbox) -> Vec<Value> {
    let list = sandbox.run(&["--json", "key", "list"]).ok().json();
    list["keys"].as_array().expect("a list").clone()
}

#[track_caller]
fn refused(ran: &Ran, exit_code: i32, code: &str) {
    assert_eq!(ran.code(), exit_code, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains(&format!("[{code}]")),
        "{}",
        ran.snapshot()
    );
    assert!(
        ran.stderr().contains("help:"),
        "it says what to do:\n{}",
        ran.snapshot()
    );
}

#[test]
fn a_key_is_made_listed_and_removed() {
    let sandbox = Sandbox::new();
    assert!(keys(&sandbox).is_empty());
    let ran = sandbox
        .run(&[
            "key",
            "generate",
            "alice <alice@example.org>",
            "--no-passphrase",
        ])
        .ok();
    assert!(
        ran.stderr().contains("skills key register"),
        "{}",
        ran.snapshot()
    );
    let list = keys(&sandbox);
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["userIds"][0], "alice <alice@example.org>");
    assert_eq!(list[0]["algorithm"], "ed25519");
    assert_eq!(list[0]["state"], "valid");
    assert_eq!(list[0]["trust"], "own");
    let fingerprint = list[0]["fingerprint"].as_str().unwrap();
    let table = sandbox.run(&["key", "list"]).ok().stdout();
    assert!(table.starts_with("FINGERPRINT"), "{table}");
    assert!(table.contains(fingerprint), "{table}");

    refused(
        &sandbox.run(&["key", "remove", fingerprint]),
        2,
        "key-has-secret",
    );
    sandbox
        .run(&["key", "remove", &fingerprint[24..], "--force"])
        .ok();
    assert!(keys(&sandbox).is_empty());
    refused(
        &sandbox.run(&["key", "remove", fingerprint]),
        1,
        "key-not-found",
    );
}

#[test]
fn a_public_key_travels_to_another_user_who_trusts_it() {
    let (alice, bob) = (Sandbox::new(), Sandbox::new());
    let fingerprint = generate(&alice, "alice");
    let exported = alice.run(&["key", "export", &fingerprint]).ok().stdout();
    assert!(
        exported.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"),
        "{exported}"
    );
    bob.write("alice.asc", &exported);
    let imported = bob
        .run(&["--json", "key", "import", "alice.asc"])
        .ok()
        .json();
    assert_eq!(imported["change"], "new");
    assert_eq!(imported["trust"], "unknown");
    let mut again = bob.command(&["--json", "key", "import", "-"]);
    again.stdin(Stdio::from(
        std::fs::File::open(bob.project().join("alice.asc")).unwrap(),
    ));
    assert_eq!(bob.finish(&mut again).ok().json()["change"], "unchanged");

    refused(
        &bob.run(&["key", "trust", &fingerprint[24..]]),
        2,
        "fingerprint-invalid",
    );
    bob.run(&["key", "trust", &fingerprint]).ok();
    assert_eq!(keys(&bob)[0]["trust"], "trusted");
    refused(
        &bob.run(&["key", "export", &fingerprint, "--secret"]),
        1,
        "key-no-secret",
    );
}

#[test]
fn a_secret_key_travels_in_a_file_that_only_its_owner_reads() {
    let (old, new) = (Sandbox::new(), Sandbox::new());
    let fingerprint = generate(&old, "alice");
    let output = new.project().join("secret.asc");
    old.run(&[
        "key",
        "export",
        &fingerprint,
        "--secret",
        "-o",
        output.to_str().unwrap(),
    ])
    .ok();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&output).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    new.run(&["key", "import", "secret.asc"]).ok();
    assert_eq!(keys(&new)[0]["trust"], "own");
}

#[test]
fn a_revoked_key_says_why() {
    let sandbox = Sandbox::new();
    let fingerprint = generate(&sandbox, "alice");
    sandbox
        .run(&[
            "key",
            "revoke",
            &fingerprint,
            "--reason",
            "compromised: laptop stolen",
        ])
        .ok();
    let key = &keys(&sandbox)[0];
    assert_eq!(key["state"], "revoked");
    assert_eq!(key["revocation"]["reason"], "compromised");
    assert_eq!(key["revocation"]["text"], "laptop stolen");
    let other = Sandbox::new();
    other.write(
        "key.asc",
        &sandbox.run(&["key", "export", &fingerprint]).ok().stdout(),
    );
    let imported = other.run(&["key", "import", "key.asc"]).ok();
    assert!(
        imported.stderr().contains("revoked (compromised"),
        "{}",
        imported.snapshot()
    );
}

#[test]
fn a_new_signer_of_a_skill_is_accepted_by_name() {
    let sandbox = Sandbox::new();
    let (old, new) = ("A".repeat(40), "B".repeat(40));
    let hub = "https://hub.example.org";
    let trust = |key: &str| {
        let arguments = [
            "--json",
            "key",
            "trust",
            key,
            "--skill",
            "csv-analyzer",
            "--registry",
            hub,
        ];
        sandbox.run(&arguments).ok().json()
    };
    assert_eq!(trust(&old)["former"], Value::Null);
    let answer = trust(&new);
    assert_eq!(answer["former"], old.as_str());
    assert_eq!(answer["registry"], hub);
    let pins = std::fs::read_to_string(sandbox.home().join(".skills/pins.json")).unwrap();
    let pins: Value = serde_json::from_str(&pins).unwrap();
    assert_eq!(pins["pins"][0]["fingerprint"], new.as_str());
    assert_eq!(pins["pins"][0]["history"][0]["fingerprint"], old.as_str());
    let bad = sandbox.run(&[
        "key",
        "trust",
        &new,
        "--skill",
        "No Skill",
        "--registry",
        hub,
    ]);
    assert_eq!(bad.code(), 2);
}

#[test]
fn what_is_no_key_is_refused_with_its_file() {
    let sandbox = Sandbox::new();
    sandbox.write("no.asc", "hello");
    let ran = sandbox.run(&["key", "import", "no.asc"]);
    refused(&ran, 2, "key-unknown-format");
    assert!(ran.stderr().contains("at: no.asc"), "{}", ran.snapshot());
    refused(&sandbox.run(&["key", "import", "nowhere.asc"]), 2, "io");
    let ran = sandbox.run(&["--json", "key", "import", "no.asc"]);
    assert_eq!(ran.json()["error"]["code"], "key-unknown-format");
    let ran = sandbox.run(&["key", "generate", " ", "--no-passphrase"]);
    refused(&ran, 2, "key-user-id");
}

#[test]
fn without_a_terminal_a_passphrase_must_come_from_somewhere() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["key", "generate", "alice"]);
    refused(&ran, 2, "passphrase-needed");
    assert!(
        ran.stderr().contains("--no-passphrase"),
        "{}",
        ran.snapshot()
    );
    sandbox.write("empty", "\nsecond line\n");
    let ran = sandbox.run(&["key", "generate", "alice", "--passphrase-file", "empty"]);
    refused(&ran, 2, "passphrase-empty");
    assert!(keys(&sandbox).is_empty());
}

#[test]
fn processes_that_import_at_once_lose_no_key() {
    let sandbox = Sandbox::new();
    let count = 8;
    let others: Vec<String> = (0..count)
        .map(|number| {
            let other = Sandbox::new();
            let fingerprint = generate(&other, &format!("user {number}"));
            let armored = other.run(&["key", "export", &fingerprint]).ok().stdout();
            sandbox.write(&format!("{number}.asc"), &armored);
            fingerprint
        })
        .collect();
    let importing: Vec<_> = (0..count)
        .map(|number| {
            sandbox
                .command(&["key", "import", &format!("{number}.asc")])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in importing {
        assert!(child.wait().unwrap().success());
    }
    let trusting: Vec<_> = others
        .iter()
        .map(|fingerprint| {
            sandbox
                .command(&["key", "trust", fingerprint])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in trusting {
        assert!(child.wait().unwrap().success());
    }
    let keys = keys(&sandbox);
    assert_eq!(keys.len(), count);
    assert!(keys.iter().all(|key| key["trust"] == "trusted"), "{keys:?}");
}
