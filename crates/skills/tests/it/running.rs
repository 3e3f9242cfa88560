//! `skills run`: a skill's script in the sandbox, as far as this host has one.

use crate::support::{Ran, Sandbox};

/// A skill with this `scripts/run.sh`.
fn skill(sandbox: &Sandbox, script: &str, yaml: &str) {
    sandbox.skill("worker");
    sandbox.write("worker/scripts/run.sh", script);
    sandbox.write(
        "worker/skill.yaml",
        &format!("name: worker\nversion: 1.0.0\n{yaml}"),
    );
}

fn run(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let mut arguments = vec!["run", "./worker", "some input", "--sandbox", "available"];
    arguments.extend(options);
    let mut command = sandbox.command(&arguments);
    command
        .env("API_TOKEN", "undeclared-secret")
        .env("REGION", "declared");
    sandbox.finish(&mut command)
}

/// Whether this host enforces everything; what it does not is warned about.
fn is_full(ran: &Ran) -> bool {
    !ran.stderr().contains("does not enforce")
}

#[test]
fn a_skill_gets_its_input_and_its_output_and_exit_code_come_back() {
    let sandbox = Sandbox::new();
    skill(&sandbox, "cat; echo; echo oops >&2; exit 7\n", "");
    let ran = run(&sandbox, &[]);
    assert_eq!(ran.code(), 7, "{}", ran.snapshot());
    assert_eq!(ran.stdout(), "some input\n");
    assert!(ran.stderr().contains("oops"));
    let json = run(&sandbox, &["--json"]).json();
    assert_eq!(json["exitCode"], 7);
    assert_eq!(json["output"], "some input\n");
}

#[test]
fn a_skill_sees_what_it_declares_and_nothing_else() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.home().join("diary.txt"), "dear diary").expect("written");
    let script = format!(
        "env; cat {}/diary.txt; echo changed > SKILL.md; echo scratch > \"$HOME/x\" && cat \"$HOME/x\"\n",
        sandbox.home().display()
    );
    let declared = "permissions:\n  environment:\n    - name: REGION\n";
    skill(&sandbox, &script, declared);
    let ran = run(&sandbox, &[]);
    let output = ran.stdout();
    assert!(output.contains("REGION=declared"), "{}", ran.snapshot());
    assert!(!output.contains("undeclared-secret"), "{}", ran.snapshot());
    assert!(output.contains("scratch"), "{}", ran.snapshot());
    if is_full(&ran) {
        assert!(!output.contains("dear diary"), "{}", ran.snapshot());
        let text = std::fs::read_to_string(sandbox.project().join("worker/SKILL.md"));
        assert!(text.expect("still there").starts_with("---"));
    }
}

#[test]
fn a_skill_that_names_hosts_is_refused_until_the_network_is_allowed() {
    let sandbox = Sandbox::new();
    let hosts = "permissions:\n  network: [api.example.com]\n";
    skill(&sandbox, "echo ran\n", hosts);
    let refused = run(&sandbox, &[]);
    assert_eq!(refused.code(), 2, "{}", refused.snapshot());
    assert!(refused.stderr().contains("network-unenforceable"));
    assert!(refused.stderr().contains("--allow-network"));
    assert_eq!(refused.stdout(), "");
    let allowed = run(&sandbox, &["--allow-network"]).ok();
    assert_eq!(allowed.stdout(), "ran\n");
}

#[test]
fn a_time_out_ends_a_skill() {
    let sandbox = Sandbox::new();
    skill(&sandbox, "echo started; exec sleep 600\n", "");
    let ran = run(&sandbox, &["--timeout", "1"]);
    assert_eq!(ran.code(), 124, "{}", ran.snapshot());
    assert_eq!(ran.stdout(), "started\n");
    assert!(ran.stderr().contains("--timeout"));
}

#[test]
fn blank_input_is_no_input_where_an_object_is_asked_for() {
    let sandbox = Sandbox::new();
    let schema = "entrypoints:\n  - name: run\n    command: scripts/run.sh\n    input-schema:\n      type: object\n      required: [a, b]\n";
    skill(&sandbox, "cat\n", schema);
    for blank in ["", " ", "\n \t\r\n"] {
        let ran = sandbox.run(&["run", "./worker", blank, "--sandbox", "available"]);
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        assert!(
            ran.stderr().contains("[input-missing]"),
            "{}",
            ran.snapshot()
        );
        assert!(ran.stderr().contains("JSON document"), "{}", ran.snapshot());
    }
}

#[test]
fn a_skill_without_anything_to_run_is_told_so_before_its_input_is_read() {
    let sandbox = Sandbox::new();
    sandbox.skill("worker");
    let mut command = sandbox.command(&["run", "./worker"]);
    // Nobody ever closes this pipe.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    command.stdin(reader);
    let ran = sandbox.finish(&mut command);
    drop(writer);
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert!(ran.stderr().contains("no-entry-point"));
}

#[test]
fn a_permission_follows_no_link_in_the_working_folder() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.home().join("diary.txt"), "dear diary").expect("written");
    std::fs::create_dir(sandbox.project().join("data")).expect("a folder");
    let link = sandbox.project().join("data/lk");
    std::os::unix::fs::symlink(sandbox.home(), &link).expect("a link");
    let script = format!("cat {}/diary.txt; echo ran\n", link.display());
    for permission in ["read", "write"] {
        let yaml = format!("permissions:\n  {permission}: [\"data/lk/**\"]\n");
        skill(&sandbox, &script, &yaml);
        let ran = run(&sandbox, &[]);
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        assert_eq!(ran.stdout(), "");
        let said = ran.stderr();
        assert!(said.contains("path-permission-unenforceable"), "{said}");
        assert!(said.contains("data/lk is a symbolic link"), "{said}");
    }
}

#[test]
fn a_skill_that_may_read_all_of_the_home_folder_sees_no_token() {
    let sandbox = Sandbox::new();
    let token = sandbox.home().join(".skills/config.json");
    std::fs::create_dir_all(sandbox.home().join(".skills")).expect("a folder");
    std::fs::write(&token, "{}").expect("written");
    skill(
        &sandbox,
        "cat .skills/config.json; echo ran\n",
        "permissions:\n  read: [\"**\"]\n",
    );
    let worker = sandbox.project().join("worker");
    let mut command = sandbox.command(&["run", &worker.display().to_string(), "x"]);
    command.current_dir(sandbox.home());
    let ran = sandbox.finish(&mut command);
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert_eq!(ran.stdout(), "");
    let said = ran.stderr();
    assert!(said.contains("path-permission-secret"), "{said}");
    assert!(said.contains(".skills/config.json"), "{said}");
}

#[test]
fn a_skill_that_may_write_all_of_the_working_folder_changes_no_skill() {
    let sandbox = Sandbox::new();
    sandbox.skill("other");
    sandbox.write("other/scripts/run.sh", "echo unchanged\n");
    let script = format!(
        "cd {}; echo changed > other/scripts/run.sh; echo changed > worker/SKILL.md; mv other gone; echo x > made; cat made\n",
        sandbox.project().display()
    );
    skill(&sandbox, &script, "permissions:\n  write: [\"**\"]\n");
    crate::mesh::permissions::open_to_all(&sandbox.project());
    let ran = run(&sandbox, &[]);
    if ran.code() == 0 {
        assert_eq!(ran.stdout(), "x\n", "{}", ran.snapshot());
        assert!(sandbox.project().join("made").exists());
    } else {
        let said = ran.stderr();
        assert!(said.contains("path-permission-unenforceable"), "{said}");
    }
    let text = |path: &str| {
        let text = std::fs::read_to_string(sandbox.project().join(path));
        text.expect("still there")
    };
    assert_eq!(text("other/scripts/run.sh"), "echo unchanged\n");
    assert!(text("worker/SKILL.md").starts_with("---"));
}
