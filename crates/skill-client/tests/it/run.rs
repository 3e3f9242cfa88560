//! Running skills: what they see, how they are fed and drained, and that nothing of them is left.

use std::ffi::OsString;
use std::fs;
use std::future::pending;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use skill_client::run::{
    Capture, Ended, Outcome, RunError, RunOptions, RunRequest, entry_points, find_program, prepare,
    run,
};
use skill_format::{Explain as _, Manifest, ReadOptions, Skill, SkillFile, SkillTree};
use tempfile::TempDir;

struct Folder {
    dir: TempDir,
    manifest: Manifest,
}

impl Folder {
    /// A skill with these files; those in `scripts/` are executable.
    fn new(skill_yaml: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let skill_md = "---\nname: tester\ndescription: Runs things.\n---\nRun it.\n";
        let mut tree = SkillTree::new();
        for (path, text) in [("SKILL.md", skill_md), ("skill.yaml", skill_yaml)]
            .iter()
            .chain(files)
        {
            if text.is_empty() {
                continue;
            }
            tree.insert(path, SkillFile::plain(*text)).expect("a path");
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("mkdir");
            fs::write(&file, text).expect("write");
            let mode = if path.starts_with("scripts/") {
                0o755
            } else {
                0o644
            };
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("chmod");
        }
        let skill = Skill::from_tree(tree, &ReadOptions::default())
            .unwrap_or_else(|error| panic!("{error:?}"));
        Self {
            dir,
            manifest: skill.manifest,
        }
    }

    fn shell(script: &str) -> Self {
        Self::new("", &[("scripts/run.sh", &format!("#!/bin/sh\n{script}\n"))])
    }

    fn prepare(&self, options: RunOptions<'_>) -> Result<RunRequest, RunError> {
        prepare(self.dir.path(), &self.manifest, options, &variable)
    }

    fn run(&self, input: &[u8], timeout: Duration) -> (Outcome, Capture) {
        let options = RunOptions {
            entry: None,
            input: input.to_vec(),
            timeout: Some(timeout),
        };
        execute(
            &self
                .prepare(options)
                .unwrap_or_else(|error| panic!("{error}")),
        )
    }
}

const LONG: Duration = Duration::from_secs(60);

/// The environment of the person who runs it.
fn variable(name: &str) -> Option<OsString> {
    match name {
        "PATH" => std::env::var_os("PATH"),
        "HOME" => Some("/home/tester".into()),
        "LANG" => Some("C.UTF-8".into()),
        "API_TOKEN" => Some("declared-secret".into()),
        "AWS_SECRET_ACCESS_KEY" => Some("undeclared-secret".into()),
        _ => None,
    }
}

fn execute(request: &RunRequest) -> (Outcome, Capture) {
    execute_until(request, pending())
}

fn execute_until(
    request: &RunRequest,
    interrupted: impl Future<Output = ()>,
) -> (Outcome, Capture) {
    let mut capture = Capture::new(1024 * 1024);
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(run(request, &mut capture, interrupted))
        .unwrap_or_else(|error| panic!("{error}"));
    (outcome, capture)
}

fn text(capture: &Capture) -> String {
    String::from_utf8_lossy(&capture.output.bytes).into_owned()
}

fn error(result: Result<RunRequest, RunError>) -> RunError {
    result.expect_err("it cannot be run")
}

/// Whether a process of this number exists and is no zombie.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

#[test]
fn input_reaches_standard_input_and_the_intent() {
    let folder =
        Folder::shell("cat; printf ' %s in %s' \"$SKILLSCALE_INTENT\" \"$(pwd)\"; echo oops >&2");
    let (outcome, capture) = folder.run("hällo".as_bytes(), LONG);
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert!(outcome.input_taken);
    let here = folder.dir.path().canonicalize().expect("it exists");
    assert_eq!(text(&capture), format!("hällo hällo in {}", here.display()));
    assert_eq!(capture.error.bytes, b"oops\n");
}

#[test]
fn exit_codes_and_signals_are_reported() {
    let (outcome, _) = Folder::shell("exit 7").run(b"", LONG);
    assert_eq!(
        (outcome.ended, outcome.ended.exit_code()),
        (Ended::Exited(7), 7)
    );
    let (outcome, _) = Folder::shell("kill -SEGV $$").run(b"", LONG);
    assert_eq!(
        (outcome.ended, outcome.ended.exit_code()),
        (Ended::Signaled(11), 139)
    );
}

#[test]
fn required_variables_are_missed_before_anything_runs() {
    let yaml = "name: tester\npermissions:\n  environment:\n    - name: FIRST_KEY\n      required: true\n    - name: SECOND_KEY\n      required: true\n";
    let folder = Folder::new(yaml, &[("scripts/run.sh", "#!/bin/sh\n")]);
    let error = error(folder.prepare(RunOptions::default()));
    assert_eq!(
        error.to_string(),
        "`tester` needs FIRST_KEY, SECOND_KEY, which are not set"
    );
    assert_eq!(error.code(), "environment-missing");
}

#[test]
fn relative_folders_are_not_searched_for_programs() {
    let folder = Folder::new("", &[("scripts/run.sh", "#!/bin/sh\necho \"$PATH\"\n")]);
    let mixed = |name: &str| (name == "PATH").then(|| OsString::from("/usr/bin:.:bin:/bin"));
    let request = prepare(
        folder.dir.path(),
        &folder.manifest,
        RunOptions::default(),
        &mixed,
    )
    .expect("it can run");
    assert_eq!(text(&execute(&request).1), "/usr/bin:/bin\n");
    assert_eq!(
        find_program("sh", "scripts:/bin".as_ref()),
        Some(PathBuf::from("/bin/sh"))
    );
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_its_kind() {
    let folder = Folder::new("", &[("scripts/run.sh", "echo plain shell\n")]);
    assert_eq!(text(&folder.run(b"", LONG).1), "plain shell\n");
    let nowhere = |name: &str| (name == "PATH").then(|| OsString::from("/nonexistent"));
    let error = error(prepare(
        folder.dir.path(),
        &folder.manifest,
        RunOptions::default(),
        &nowhere,
    ));
    assert_eq!(
        error.to_string(),
        "scripts/run.sh needs `sh`, which is not on the PATH"
    );
}

#[test]
fn a_link_out_of_the_skill_is_not_followed() {
    let folder = Folder::new("", &[("scripts/run.sh", "#!/bin/sh\n")]);
    let script = folder.dir.path().join("scripts/run.sh");
    fs::remove_file(&script).expect("removed");
    std::os::unix::fs::symlink("/bin/sh", &script).expect("link");
    let error = error(folder.prepare(RunOptions::default()));
    assert_eq!(error.code(), "entry-point-invalid");
    assert!(
        error.to_string().contains("leads out of the skill"),
        "{error}"
    );
}

#[test]
fn input_is_checked_against_the_schema_of_the_entry_point() {
    let yaml = "name: tester\nentrypoints:\n  - name: add\n    command: scripts/add.sh\n    input-schema:\n      type: object\n      required: [a]\n      properties:\n        a: {type: integer}\n";
    let folder = Folder::new(yaml, &[("scripts/add.sh", "#!/bin/sh\ncat\n")]);
    assert!(!folder.manifest.entrypoints.is_empty());
    let with = |input: &str| {
        folder.prepare(RunOptions {
            input: input.into(),
            ..RunOptions::default()
        })
    };
    assert_eq!(error(with("{\"a\": \"x\"}")).code(), "input-invalid");
    assert_eq!(error(with("not json")).code(), "input-not-json");
    assert_eq!(error(with("")).code(), "input-missing");
    assert_eq!(
        text(&execute(&with("{\"a\": 1}").expect("valid")).1),
        "{\"a\": 1}"
    );
}

#[test]
fn a_megabyte_of_input_that_nobody_reads_is_no_obstacle() {
    let input = vec![b'x'; 1024 * 1024];
    let (outcome, capture) = Folder::shell("echo done").run(&input, LONG);
    assert_eq!(
        (outcome.ended, outcome.input_taken),
        (Ended::Exited(0), false)
    );
    assert_eq!(text(&capture), "done\n");
}

#[test]
fn a_megabyte_of_input_comes_back_while_it_is_fed() {
    let input: Vec<u8> = (0..1024 * 1024u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let (outcome, capture) = Folder::shell("cat").run(&input, LONG);
    assert!(outcome.input_taken);
    assert_eq!(capture.output.bytes, input);
}

#[test]
fn invalid_utf8_and_zero_bytes_pass_unharmed() {
    let (outcome, capture) =
        Folder::shell("cat; printf '\\377\\000\\376' >&2").run(b"\xff\x00\xc3(", LONG);
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(capture.output.bytes, b"\xff\x00\xc3(");
    assert_eq!(capture.error.bytes, b"\xff\x00\xfe");
}

#[test]
fn a_gibibyte_of_output_is_counted_and_not_kept() {
    let (outcome, capture) =
        Folder::shell("head -c 1073741824 /dev/zero; echo end >&2").run(b"", LONG);
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(capture.output.total, 1 << 30);
    assert_eq!(capture.output.bytes.len(), 1024 * 1024);
    assert!(capture.output.is_truncated());
    assert_eq!(capture.error.bytes, b"end\n");
}

#[test]
fn a_grandchild_that_ignores_sigterm_and_holds_the_pipe_is_ended_at_the_time_out() {
    let folder =
        Folder::shell("sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' &\nwait");
    let started = Instant::now();
    let (outcome, capture) = folder.run(b"", Duration::from_millis(500));
    assert_eq!(
        (outcome.ended, outcome.ended.exit_code()),
        (Ended::TimedOut, 124)
    );
    assert_eq!(outcome.survivors, 0);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert!(!lives(&text(&capture)), "{}", text(&capture));
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_ended_too() {
    // Twice removed, in another session, with its outputs closed and its environment emptied.
    let folder = Folder::shell(
        "setsid env -i sh -c 'echo $$ > daemon; exec >/dev/null 2>&1 </dev/null; setsid sh -c \"echo \\$\\$ > inner; sleep 600\" & sleep 600' &\n\
         while [ ! -s daemon ] || [ ! -s inner ]; do sleep 0.02; done; echo started",
    );
    let (outcome, capture) = folder.run(b"", LONG);
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(text(&capture), "started\n");
    assert!(outcome.ended_descendants >= 2, "{outcome:?}");
    assert_eq!(outcome.survivors, 0);
    for file in ["daemon", "inner"] {
        let pid = fs::read_to_string(folder.dir.path().join(file)).expect("it started");
        assert!(!lives(&pid), "{file}");
    }
}

#[test]
fn what_the_shell_leaves_running_for_its_output_may_finish_it() {
    let folder = Folder::new(
        "",
        &[(
            "scripts/run.sh",
            "#!/bin/sh\n(sleep 0.1; echo late) &\necho early\n",
        )],
    );
    let (outcome, capture) = folder.run(b"", LONG);
    assert_eq!(text(&capture), "early\nlate\n");
    assert_eq!(outcome.ended, Ended::Exited(0));
}

#[test]
fn an_interrupt_is_passed_on_and_then_enforced() {
    let polite =
        Folder::shell("trap 'echo bye; exit 0' INT; touch ready; while :; do sleep 0.05; done");
    let stubborn =
        Folder::shell("trap '' INT TERM; echo $$; touch ready; while :; do sleep 0.05; done");
    for (folder, expected) in [(&polite, Some("bye\n")), (&stubborn, None)] {
        let request = folder
            .prepare(RunOptions {
                timeout: Some(LONG),
                ..RunOptions::default()
            })
            .expect("it can run");
        let ready = folder.dir.path().join("ready");
        let (outcome, capture) = execute_until(&request, async {
            while !ready.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert_eq!((outcome.ended, outcome.survivors), (Ended::Interrupted, 0));
        match expected {
            Some(expected) => assert_eq!(text(&capture), expected),
            None => assert!(!lives(&text(&capture))),
        }
    }
}

#[test]
fn children_of_this_program_that_are_not_the_skills_are_left_alone() {
    let mut own = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .expect("sleep is everywhere");
    let (outcome, _) = Folder::shell("sleep 600 &").run(b"", LONG);
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert!(
        own.try_wait().expect("it is ours").is_none(),
        "still running"
    );
    own.kill().expect("it is ours");
    own.wait().expect("it is ours");
}

#[test]
fn a_fork_bomb_ends_with_the_time_out() {
    // Bounded by its depth, since a test must not take the machine down.
    let folder = Folder::shell(
        "f() { [ \"$1\" -gt 0 ] && { f $(($1-1)) & f $(($1-1)) & }; sleep 600; }; f 6",
    );
    let (outcome, _) = folder.run(b"", Duration::from_millis(700));
    assert_eq!((outcome.ended, outcome.survivors), (Ended::TimedOut, 0));
}

#[test]
fn a_program_that_cannot_be_started_says_why() {
    let folder = Folder::new("", &[("scripts/run.sh", "#!/nonexistent/interpreter\n")]);
    let request = folder
        .prepare(RunOptions::default())
        .expect("it looks runnable");
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(run(&request, &mut Capture::default(), pending()));
    let error = result.expect_err("there is no such interpreter");
    assert_eq!(error.code(), "start-failed");
}

#[test]
fn the_environment_holds_what_is_declared_and_nothing_else() {
    let yaml = "name: tester\npermissions:\n  environment:\n    - name: API_TOKEN\n      required: true\n      secret: true\n    - name: OPTIONAL\n      required: false\n";
    let folder = Folder::new(yaml, &[("scripts/run.sh", "#!/bin/sh\nenv\n")]);
    let (_, capture) = folder.run(b"", LONG);
    let output = text(&capture);
    let mut names: Vec<&str> = output
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    names.retain(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "API_TOKEN",
            "HOME",
            "LANG",
            "PATH",
            "PYTHONDONTWRITEBYTECODE",
            "SKILLSCALE_INTENT"
        ]
    );
    assert!(output.contains("API_TOKEN=declared-secret"));
    assert!(!output.contains("undeclared-secret"));
}

#[test]
fn entry_points_are_declared_or_conventional() {
    let names = |folder: &Folder| -> Vec<String> {
        entry_points(folder.dir.path(), &folder.manifest)
            .iter()
            .map(|entry| format!("{} {}", entry.name, entry.path))
            .collect()
    };
    let both = Folder::new(
        "",
        &[
            ("scripts/run.py", "print(1)"),
            ("scripts/run.sh", "#!/bin/sh\n"),
            ("scripts/other", "#!/bin/sh\n"),
        ],
    );
    assert_eq!(names(&both), ["run scripts/run.sh"]);
    let others = Folder::new(
        "",
        &[("scripts/b", "#!/bin/sh\n"), ("scripts/a", "#!/bin/sh\n")],
    );
    assert_eq!(names(&others), ["a scripts/a", "b scripts/b"]);
    let declared = Folder::new(
        "name: tester\nentrypoints:\n  - name: go\n    command: tools/go.py\n",
        &[
            ("tools/go.py", "print('gone')"),
            ("scripts/run.sh", "#!/bin/sh\n"),
        ],
    );
    assert_eq!(names(&declared), ["go tools/go.py"]);
    assert_eq!(text(&declared.run(b"", LONG).1), "gone\n");

    let unknown = error(declared.prepare(RunOptions {
        entry: Some("run"),
        ..RunOptions::default()
    }));
    assert_eq!(unknown.to_string(), "`tester` has no entry point `run`");
    let nothing = Folder::new("", &[]);
    assert_eq!(
        error(nothing.prepare(RunOptions::default())).code(),
        "no-entry-point"
    );
}
