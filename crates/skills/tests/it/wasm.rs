//! WebAssembly modules in `skills run` and `skills worker`: they are told and bounded as scripts are.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Ran, Sandbox};

/// Imports, memory, and a function that writes to a stream.
const BEGIN: &str = r#"
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 4)
  (func $write (param $to i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $copy (param $from i32)
    (block $end (loop $more
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (i32.const 32768))
      (if (call $fd_read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8))
        (then (call $exit (i32.const 99))))
      (br_if $end (i32.eqz (i32.load (i32.const 8))))
      (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 8)))
      (br $more))))
  (func $open (param $path i32) (param $length i32)
    (local $errno i32)
    (local.set $errno (call $path_open (i32.const 3) (i32.const 1) (local.get $path) (local.get $length)
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
    (if (local.get $errno) (then (call $exit (local.get $errno)))))
"#;

/// A skill whose `scripts/run.wasm` is this after what stands in `before`.
fn skill(sandbox: &Sandbox, before: &str, start: &str, yaml: &str) {
    sandbox.skill("worker");
    module(sandbox, "worker", before, start);
    let yaml = format!("name: worker\nversion: 1.0.0\n{yaml}");
    sandbox.write("worker/skill.yaml", &yaml);
}

fn module(sandbox: &Sandbox, folder: &str, before: &str, start: &str) {
    let text = format!("(module {BEGIN} {before} (func (export \"_start\") {start}))");
    let module = wat::parse_str(text).expect("WebAssembly text");
    let script = sandbox.write(&format!("{folder}/scripts/run.wasm"), "");
    std::fs::write(script, module).expect("written");
}

fn run(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let mut arguments = vec!["run", "./worker", "some input"];
    arguments.extend(options);
    let mut command = sandbox.command(&arguments);
    command
        .env("API_TOKEN", "undeclared-secret")
        .env("REGION", "declared");
    sandbox.finish(&mut command)
}

#[test]
fn a_module_gets_its_input_and_its_output_and_exit_code_come_back() {
    let sandbox = Sandbox::new();
    let oops = r#"(data (i32.const 1024) "oops")"#;
    let start = "(call $copy (i32.const 0))
        (call $write (i32.const 2) (i32.const 1024) (i32.const 4))
        (call $exit (i32.const 7))";
    skill(&sandbox, oops, start, "");
    let ran = run(&sandbox, &[]);
    assert_eq!(ran.code(), 7, "{}", ran.snapshot());
    assert_eq!(ran.stdout(), "some input");
    assert!(ran.stderr().contains("oops"));
    let json = run(&sandbox, &["--json", "--sandbox", "off"]).json();
    assert_eq!(json["exitCode"], 7);
    assert_eq!(json["output"], "some input");
}

#[test]
fn a_module_sees_the_variables_that_it_declares_and_the_input() {
    let sandbox = Sandbox::new();
    let start = "(drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
        (drop (call $environ_get (i32.const 1024) (i32.const 2048)))
        (call $write (i32.const 1) (i32.const 2048) (i32.load (i32.const 20)))";
    let declared = "permissions:\n  environment:\n    - name: REGION\n";
    skill(&sandbox, "", start, declared);
    let ran = run(&sandbox, &[]).ok();
    let mut seen: Vec<String> = ran
        .stdout()
        .split_terminator('\0')
        .map(str::to_owned)
        .collect();
    seen.sort();
    assert_eq!(seen, ["REGION=declared", "SKILLSCALE_INTENT=some input"]);
}

#[test]
fn a_module_reads_the_folders_that_it_declares_and_where_no_link_leads() {
    let sandbox = Sandbox::new();
    let path = r#"(data (i32.const 1024) "note")"#;
    // The first folder after its own.
    let start = "(local $errno i32)
        (local.set $errno (call $path_open (i32.const 4) (i32.const 1) (i32.const 1024) (i32.const 4)
          (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (if (local.get $errno) (then (call $exit (local.get $errno))))
        (call $copy (i32.load (i32.const 16)))";
    skill(&sandbox, path, start, "permissions:\n  read: [data/**]\n");
    sandbox.write("data/note", "a note");
    assert_eq!(run(&sandbox, &[]).ok().stdout(), "a note");

    std::fs::write(sandbox.home().join("note"), "a secret").expect("written");
    let link = sandbox.project().join("data/lk");
    std::os::unix::fs::symlink(sandbox.home(), link).expect("a link");
    for permission in ["read", "write"] {
        let yaml = format!("permissions:\n  {permission}: [data/lk]\n");
        skill(&sandbox, path, start, &yaml);
        let ran = run(&sandbox, &[]);
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        assert_eq!(ran.stdout(), "");
        let said = ran.stderr();
        assert!(said.contains("path-permission-unenforceable"), "{said}");
    }
}

#[test]
fn a_module_reads_its_own_folder_and_nothing_else() {
    let sandbox = Sandbox::new();
    let path = r#"(data (i32.const 1024) "data/words.txt")"#;
    let start =
        "(call $open (i32.const 1024) (i32.const 14)) (call $copy (i32.load (i32.const 16)))";
    skill(&sandbox, path, start, "");
    sandbox.write("worker/data/words.txt", "some words");
    assert_eq!(run(&sandbox, &[]).ok().stdout(), "some words");

    sandbox.write("secret", "a secret");
    let path = r#"(data (i32.const 1024) "../secret")"#;
    skill(
        &sandbox,
        path,
        "(call $open (i32.const 1024) (i32.const 9))",
        "",
    );
    // WASI's number for what may not be reached.
    assert_eq!(run(&sandbox, &[]).code(), 76);
}

#[test]
fn a_trap_a_time_out_a_flood_and_too_much_memory_are_told() {
    let sandbox = Sandbox::new();
    skill(&sandbox, "", "unreachable", "");
    let ran = run(&sandbox, &[]);
    assert_eq!(ran.code(), 134, "{}", ran.snapshot());
    assert!(ran.stderr().contains("trapped"), "{}", ran.snapshot());

    skill(&sandbox, "", "(loop $again (br $again))", "");
    let ran = run(&sandbox, &["--timeout", "1"]);
    assert_eq!(ran.code(), 124, "{}", ran.snapshot());
    assert!(ran.stderr().contains("--timeout"), "{}", ran.snapshot());

    let flood =
        "(loop $again (call $write (i32.const 1) (i32.const 1024) (i32.const 60000)) (br $again))";
    skill(&sandbox, "", flood, "");
    let ran = run(&sandbox, &[]);
    assert_ne!(ran.code(), 0, "{}", ran.stderr());
    assert!(ran.stderr().contains("wrote more than"), "{}", ran.stderr());

    let greedy = "(if (i32.eq (memory.grow (i32.const 9000)) (i32.const -1)) (then unreachable))";
    skill(&sandbox, "", greedy, "");
    let ran = run(&sandbox, &[]);
    assert_eq!(ran.code(), 137, "{}", ran.snapshot());
    assert!(ran.stderr().contains("512 MiB"), "{}", ran.snapshot());
}

#[test]
fn declared_entry_points_may_be_modules_and_what_is_none_is_refused() {
    let sandbox = Sandbox::new();
    let declared =
        "entrypoints:\n  - name: copy\n    command: scripts/run.wasm\n    description: Copies.\n";
    skill(&sandbox, "", "(call $copy (i32.const 0))", declared);
    let ran = run(&sandbox, &["--entry", "copy"]).ok();
    assert_eq!(ran.stdout(), "some input");
    sandbox.write("worker/scripts/run.wasm", "#!/bin/sh\necho no module\n");
    let ran = run(&sandbox, &["--entry", "copy"]);
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("module-invalid"),
        "{}",
        ran.snapshot()
    );
}

/// A running program that has said that it is up; killed when dropped.
struct Service {
    child: Child,
    start: Value,
}

impl Service {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut text = String::new();
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("UTF-8");
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let start = serde_json::from_str(&text).expect("a document when it is up");
        Self { child, start }
    }

    fn address(&self, of: &str) -> &str {
        self.start[of].as_str().expect("an address")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_worker_runs_modules_and_leaves_out_what_is_none() {
    let sandbox = Sandbox::new();
    for (name, start) in [
        ("copy", "(call $copy (i32.const 0))"),
        ("endless", "(loop $again (br $again))"),
        ("trap", "unreachable"),
    ] {
        module(&sandbox, &format!("skills/{name}"), "", start);
        let head = format!("---\nname: {name}\ndescription: Does {name}.\n---\n");
        sandbox.write(&format!("skills/{name}/SKILL.md"), &head);
    }
    let head = "---\nname: none\ndescription: Does nothing.\n---\n";
    sandbox.write("skills/none/SKILL.md", head);
    sandbox.write("skills/none/scripts/run.wasm", "no module");

    let mut command = sandbox.command(&["--json", "proxy", "--metrics", "127.0.0.1:0"]);
    command.args(["--xsub-bind", "tcp://127.0.0.1:*"]);
    command.args(["--xpub-bind", "tcp://127.0.0.1:*"]);
    let proxy = Service::start(&mut command);
    let ends = [
        "--proxy-xsub",
        proxy.address("xsub"),
        "--proxy-xpub",
        proxy.address("xpub"),
    ];
    let mut command =
        sandbox.command(&["--json", "worker", "--topic", "T", "--skills-dir", "skills"]);
    command.args(["--sandbox", "available", "--timeout", "2000"]);
    let worker = Service::start(command.args(ends));
    assert_eq!(
        worker.start["skills"],
        serde_json::json!(["copy", "endless", "trap"])
    );

    let call = |skill: &str, input: &str| {
        let mut command = sandbox.command(&["call", "T", "--json", "--timeout", "120"]);
        command.args(ends).args(["--skill", skill, input]);
        sandbox.finish(&mut command).json()
    };
    assert_eq!(call("copy", "some input")["content"], "some input");
    for (skill, told) in [
        ("endless", "Execution timed out after 2000 ms"),
        (
            "trap",
            "Skill execution failed (exit=134): the module trapped",
        ),
        ("none", "module-invalid"),
    ] {
        let answer = call(skill, "x");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(told), "{skill}: {answer}");
    }
    let long = "long ".repeat(20_000);
    assert_eq!(call("copy", &long)["content"], long);
}
