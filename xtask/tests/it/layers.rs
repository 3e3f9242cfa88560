//! Arrows between crates point one way. The table is the architecture's; `cargo metadata` is the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::root;

/// What each crate may depend on, of ours.
const MAY_USE: &[(&str, &[&str])] = &[
    ("skill-format", &[]),
    ("skill-signing", &["skill-format"]),
    ("skill-sandbox", &["skill-format"]),
    ("skill-wasm", &["skill-format"]),
    ("skill-client", &["skill-format", "skill-signing"]),
    ("skill-trace", &[]),
    ("skill-mesh", &["skill-format", "skill-trace"]),
    (
        "skill-runtime",
        &[
            "skill-client",
            "skill-format",
            "skill-mesh",
            "skill-sandbox",
            "skill-trace",
            "skill-wasm",
        ],
    ),
    ("skill-controller", &["skill-format"]),
    ("hub-model", &["skill-format"]),
    ("hub-db", &["hub-model"]),
    (
        "hub",
        &[
            "hub-db",
            "hub-model",
            "skill-format",
            "skill-signing",
            "skill-trace",
        ],
    ),
    (
        "skills",
        &[
            "hub",
            "hub-db",
            "hub-model",
            "skill-client",
            "skill-controller",
            "skill-format",
            "skill-mesh",
            "skill-runtime",
            "skill-sandbox",
            "skill-signing",
            "skill-trace",
        ],
    ),
    ("xtask", &[]),
    // Only tests use it (checked below), so it may know everything below the binary.
    (
        "testkit",
        &[
            "hub",
            "hub-db",
            "hub-model",
            "skill-format",
            "skill-signing",
        ],
    ),
];

/// Outside crates that only one of ours may know.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sqlx", &["hub-db", "testkit"]),
    ("pgp", &["skill-signing"]),
    ("async-nats", &["skill-mesh"]),
    ("zmq", &["skill-mesh"]),
    ("axum", &["hub"]),
    ("clap", &["skills"]),
    ("granit-parser", &["skill-format"]),
    ("pubgrub", &["skill-client"]),
    ("tantivy", &["hub"]),
    ("landlock", &["skill-sandbox"]),
    ("seccompiler", &["skill-sandbox"]),
    ("wasmi", &["skill-wasm"]),
    ("object_store", &["hub"]),
];

/// Crates that do no I/O over a network and know no runtime.
const PURE: &[&str] = &["skill-format", "skill-signing", "hub-model"];

struct Dependency {
    of: String,
    on: String,
    for_tests: bool,
}

fn dependencies() -> Vec<Dependency> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a name").to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .flat_map(|package| {
            package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .map(move |dependency| Dependency {
                    of: text(&package["name"]),
                    on: text(&dependency["name"]),
                    for_tests: dependency["kind"].as_str() == Some("dev"),
                })
        })
        .collect()
}

#[test]
fn crates_depend_only_on_the_layers_below() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = MAY_USE
        .iter()
        .map(|(name, below)| (*name, below.iter().copied().collect()))
        .collect();
    for Dependency { of, on, for_tests } in dependencies() {
        let below = allowed
            .get(of.as_str())
            .unwrap_or_else(|| panic!("{of} has no line in MAY_USE: which layer is it?"));
        let ours = allowed.contains_key(on.as_str());
        if ours && !for_tests {
            assert!(
                below.contains(on.as_str()),
                "{of} must not depend on {on}: the arrow points the other way"
            );
        }
    }
}

#[test]
fn special_crates_are_known_to_one_layer_only() {
    for Dependency { of, on, for_tests } in dependencies() {
        if let Some((_, only)) = ONLY_IN.iter().find(|(name, _)| *name == on)
            && !for_tests
        {
            assert!(
                only.contains(&of.as_str()),
                "{of} uses {on}, which belongs to {only:?}"
            );
        }
    }
}

#[test]
fn pure_crates_know_no_network_and_no_runtime() {
    for Dependency { of, on, for_tests } in dependencies() {
        if PURE.contains(&of.as_str()) && !for_tests {
            let forbidden = [
                "tokio",
                "reqwest",
                "hyper",
                "axum",
                "sqlx",
                "async-trait",
                "futures",
            ];
            assert!(
                !forbidden.contains(&on.as_str()),
                "{of} must stay pure, but depends on {on}"
            );
        }
    }
}
