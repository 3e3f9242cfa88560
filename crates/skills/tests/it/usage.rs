//! Help, version, wrong usage, pipes and colours.

use crate::support::Sandbox;

#[test]
fn help_fits_one_screen_and_groups_the_verbs() {
    let ran = Sandbox::new().run(&["--help"]).ok();
    assert!(ran.stdout().lines().count() < 70, "{}", ran.stdout());
    insta::assert_snapshot!("help", ran.snapshot());
}

#[test]
fn every_verb_explains_itself() {
    let sandbox = Sandbox::new();
    for verb in crate::cli_reference::verbs(&sandbox) {
        let ran = sandbox.run(&["help", &verb]).ok();
        assert!(
            ran.stdout().contains("Usage: skills"),
            "{verb}: {}",
            ran.snapshot()
        );
    }
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_near_miss() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["instal", "x"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr().contains("'install'"), "{}", ran.stderr());
    assert!(ran.stdout().is_empty());
}

#[test]
fn wrong_usage_with_json_is_one_json_document() {
    let ran = Sandbox::new().run(&["--json", "list", "--no-such-flag"]);
    assert_eq!(ran.code(), 2);
    assert_eq!(ran.json()["error"]["code"], "usage");
}

#[test]
fn without_arguments_it_shows_the_help_and_fails() {
    let ran = Sandbox::new().run(&[]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr().contains("install"), "{}", ran.snapshot());
}

#[test]
fn completions_name_every_verb() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.run(&["completions", shell]).ok().stdout();
        for verb in crate::cli_reference::verbs(&sandbox) {
            assert!(script.contains(&verb), "{shell} completion lacks {verb}");
        }
    }
}

#[test]
fn colours_obey_the_flag_and_the_environment() {
    let sandbox = Sandbox::new();
    let plain = sandbox.finish(
        sandbox
            .command(&["validate", "nowhere"])
            .env_remove("NO_COLOR"),
    );
    assert!(
        !plain.stderr().contains('\u{1b}'),
        "a pipe is no terminal: {}",
        plain.stderr()
    );
    let coloured = sandbox.run(&["validate", "nowhere", "--color", "always"]);
    assert!(
        coloured.stderr().contains('\u{1b}'),
        "{}",
        coloured.stderr()
    );
}

#[test]
fn a_file_without_an_end_is_refused_and_not_read_for_ever() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["key", "generate", "alice", "--no-passphrase"])
        .ok();
    for arguments in [
        &["validate", "/dev/zero"][..],
        &["verify", "/dev/zero"],
        &["sign", "/dev/zero"],
        &["publish", "/dev/zero"],
    ] {
        let ran = sandbox.run(arguments);
        assert_ne!(ran.code(), 0, "{arguments:?}: {}", ran.snapshot());
        let said = ran.stdout() + &ran.stderr();
        assert!(said.contains("bytes"), "{arguments:?}: {said}");
    }
}

#[test]
fn an_empty_name_is_wrong_usage_and_not_another_address() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["owner", "add", "greeter", ""][..],
        &["owner", "remove", "greeter", ""],
        &["token", "revoke", ""],
    ] {
        assert_eq!(sandbox.run(arguments).code(), 2, "{arguments:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure_that_is_told() {
    let sandbox = Sandbox::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = sandbox.command(&["registry", "list"]);
    command.stdout(full.expect("a Linux"));
    let ran = sandbox.finish(&mut command);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr().contains("[output]"), "{}", ran.snapshot());
}

#[test]
fn help_for_a_reader_that_has_gone_is_no_failure() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = sandbox.command(&["help", "install"]);
    command.stdout(writer);
    assert_eq!(sandbox.finish(&mut command).code(), 0);
}

#[test]
fn what_is_absurdly_long_is_not_repeated_in_full() {
    let long = "a".repeat(100_000);
    let ran = Sandbox::new().run(&["install", &long]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr().len() < 30_000, "{}", ran.stderr().len());
}

#[test]
fn verbs_answer_to_the_names_that_other_tools_gave_them() {
    let sandbox = Sandbox::new();
    sandbox.skill("notes");
    sandbox.run(&["add", "./notes"]).ok();
    sandbox.run(&["i", "./notes"]).ok();
    let list = sandbox.run(&["ls"]).ok();
    assert!(list.stdout().contains("notes"), "{}", list.snapshot());
    sandbox.run(&["upgrade"]).ok();
    sandbox.run(&["rm", "notes"]).ok();
    assert_eq!(sandbox.run(&["remove", "notes"]).code(), 1);
}
