//! Programs that behave: bytes in, bytes out, and errors that say what is wrong.

use std::os::unix::fs::PermissionsExt;

use skill_format::{Explain, Fault};
use skill_sandbox::{Ended, Level, Protection, Sandbox, SandboxError, Settings, Stream};

use crate::support::{Scene, contained, refuse, settings, text};

contained!(input_that_nobody_reads_is_no_error);
async fn input_that_nobody_reads_is_no_error(scene: Scene) {
    let mut job = scene.sh("echo done");
    job.stdin = vec![b'x'; 20_000_000];
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(text(&outcome.stdout.bytes), "done\n");
}

contained!(bytes_pass_unchanged_whatever_they_are);
async fn bytes_pass_unchanged_whatever_they_are(scene: Scene) {
    let bytes: Vec<u8> = (0..3_000_000u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut job = scene.job("/bin/cat", &[]);
    job.stdin = bytes.clone();
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert!(outcome.stdout.bytes == bytes, "other bytes came back");
    assert!(!outcome.stdout.is_truncated());
}

contained!(the_input_cannot_be_changed_by_the_job);
async fn the_input_cannot_be_changed_by_the_job(scene: Scene) {
    let mut job = scene.py("
import os
for attempt in (lambda: os.pwrite(0, b'x', 0), lambda: os.ftruncate(0, 0)):
    try:
        attempt()
        print('changed')
    except OSError: pass
print(os.read(0, 100).decode())
");
    job.stdin = b"input".to_vec();
    let outcome = scene.run(job).await;
    assert_eq!(text(&outcome.stdout.bytes), "input\n");
}

contained!(how_a_program_ended_is_told_apart);
async fn how_a_program_ended_is_told_apart(scene: Scene) {
    for (script, ended) in [
        ("exit 0", Ended::Exited(0)),
        ("exit 42", Ended::Exited(42)),
        ("kill -SEGV $$", Ended::Signaled(libc::SIGSEGV)),
        ("kill -KILL $$", Ended::Signaled(libc::SIGKILL)),
    ] {
        assert_eq!(scene.run(scene.sh(script)).await.ended, ended, "{script}");
    }
}

contained!(progress_comes_while_the_job_runs);
async fn progress_comes_while_the_job_runs(scene: Scene) {
    let folder = scene.neighbour_folder("answers");
    let (progress, mut heard) = tokio::sync::mpsc::unbounded_channel();
    // Ends only when its first words have been answered: buffered progress would hang it.
    let mut job = scene.sh(&format!(
        "echo first >&2; until [ -e {}/heard ]; do :; done; echo last",
        folder.display()
    ));
    job.grants.write = vec![folder.clone()];
    job.progress = Some(progress);
    let listen = async {
        let chunk = heard.recv().await.expect("a chunk");
        assert_eq!(
            (chunk.stream, chunk.bytes.as_slice()),
            (Stream::Stderr, &b"first\n"[..])
        );
        std::fs::write(folder.join("heard"), "").expect("an answer");
    };
    let (outcome, ()) = tokio::join!(scene.run(job), listen);
    assert_eq!(text(&outcome.stdout.bytes), "last\n");
    assert_eq!(text(&outcome.stderr.bytes), "first\n");
}

contained!(a_program_that_cannot_start_says_why_and_costs_no_launcher);
async fn a_program_that_cannot_start_says_why_and_costs_no_launcher(scene: Scene) {
    std::fs::write(scene.skill.join("plain"), "no program").expect("a file");
    let plain = scene.skill.join("plain");
    for program in ["/bin/does-not-exist", plain.to_str().expect("text"), "/etc"] {
        let error = scene
            .sandbox
            .run(scene.job(program, &[]))
            .await
            .expect_err("it cannot start");
        assert!(matches!(error, SandboxError::NotStarted { .. }), "{error}");
        assert_eq!(
            (error.code(), error.fault()),
            ("sandbox-not-started", Fault::BadInput)
        );
        assert!(error.to_string().contains(program), "{error}");
    }
    assert_eq!(scene.run(scene.sh("exit 5")).await.ended, Ended::Exited(5));
    let error = scene
        .sandbox
        .run(scene.job("sh", &[]))
        .await
        .expect_err("no search path");
    assert_eq!(error.code(), "sandbox-bad-job");
    let mut job = scene.sh("true");
    job.environment.push(("A".into(), "x\0y".into()));
    assert_eq!(
        scene.sandbox.run(job).await.expect_err("NUL").code(),
        "sandbox-bad-job"
    );
}

contained!(large_arguments_and_environments_arrive);
async fn large_arguments_and_environments_arrive(scene: Scene) {
    let mut job = scene.sh("printf %s \"$INTENT\" | wc -c; echo $#");
    job.environment
        .push(("INTENT".into(), "x".repeat(120_000).into()));
    job.args
        .extend((0..1000).map(|number| format!("{number:0>300}").into()));
    let outcome = scene.run(job).await;
    assert_eq!(text(&outcome.stdout.bytes), "120000\n999\n");
    // Beyond what the kernel takes it is an error that says so, not a hang.
    let mut job = scene.sh("true");
    job.environment
        .push(("INTENT".into(), "x".repeat(200_000).into()));
    let error = scene.sandbox.run(job).await.expect_err("too large");
    assert_eq!(error.code(), "sandbox-not-started");
    assert!(error.to_string().contains("too long"), "{error}");
}

contained!(a_replaced_skill_is_seen_by_the_next_job);
async fn a_replaced_skill_is_seen_by_the_next_job(scene: Scene) {
    let read = || scene.sh("cat SKILL.md");
    assert_eq!(text(&scene.run(read()).await.stdout.bytes), "a skill");
    let next = scene.folder.path().join("next");
    std::fs::create_dir(&next).expect("a folder");
    std::fs::write(next.join("SKILL.md"), "another").expect("a file");
    std::fs::rename(&scene.skill, scene.folder.path().join("old")).expect("moved away");
    std::fs::rename(&next, &scene.skill).expect("moved here");
    assert_eq!(text(&scene.run(read()).await.stdout.bytes), "another");
}

contained!(a_job_cannot_spoil_its_launcher_for_the_next);
async fn a_job_cannot_spoil_its_launcher_for_the_next(_: Scene) {
    let scene = Scene::new_in("/tmp", settings()).await;
    let look =
        "import os\nprint(len(os.sched_getaffinity(0)), os.nice(0), os.path.exists('SKILL.md'))";
    let before = text(&scene.run(scene.py(look)).await.stdout.bytes);
    let spoil = "
import os
for pid in (1, os.getppid()):
    for attempt in (lambda: os.sched_setaffinity(pid, {0}), lambda: os.setpriority(os.PRIO_PROCESS, pid, 19)):
        try: attempt()
        except OSError: pass
# Moves away what leads to the skill where that lies below the scratch folder.
for name in os.listdir('/tmp') if os.path.isdir('/tmp') and os.access('/tmp', os.R_OK) else []:
    try: os.rename('/tmp/' + name, '/tmp/moved')
    except OSError: pass
os.nice(10)
";
    if scene.is_full() {
        scene.run(scene.py(spoil)).await;
    } else {
        scene
            .run(scene.py(&spoil[..spoil.find('#').expect("a comment")]))
            .await;
    }
    assert_eq!(text(&scene.run(scene.py(look)).await.stdout.bytes), before);
}

contained!(a_skill_that_its_user_may_not_read_is_an_error);
async fn a_skill_that_its_user_may_not_read_is_an_error(scene: Scene) {
    std::fs::set_permissions(&scene.skill, PermissionsExt::from_mode(0o000)).expect("its mode");
    let result = scene.sandbox.run(scene.sh("cat SKILL.md")).await;
    std::fs::set_permissions(&scene.skill, PermissionsExt::from_mode(0o755)).expect("its mode");
    match result {
        Err(error) => assert_eq!(error.code(), "sandbox-prepare", "{error}"),
        // A degraded launcher of root's may read it itself; the job may not.
        Ok(outcome) => assert_ne!(outcome.ended, Ended::Exited(0)),
    }
}

contained!(what_the_host_refuses_is_an_error_that_names_it);
async fn what_the_host_refuses_is_an_error_that_names_it(scene: Scene) {
    let strict = Sandbox::start(Settings::default()).await;
    if scene.level == Level::Full {
        assert_eq!(
            strict.expect("nothing is missing").protections().missing,
            []
        );
        return;
    }
    let error = strict.err().expect("something is missing");
    let SandboxError::Unenforceable { missing } = &error else {
        panic!("another error: {error}");
    };
    assert!(
        missing
            .iter()
            .any(|missing| missing.protection == Protection::Namespaces)
    );
    assert!(
        error
            .to_string()
            .contains("namespaces (making namespaces: "),
        "{error}"
    );
    assert!(error.help().is_some());
    // With leave to go on, each outcome says it again.
    let outcome = scene.run(scene.sh("true")).await;
    assert!(!outcome.protections.has(Protection::Namespaces));
    assert!(!outcome.protections.has(Protection::ScratchQuota));
}

contained!(node_and_python_start_under_the_usual_limits);
async fn node_and_python_start_under_the_usual_limits(scene: Scene) {
    let outcome = scene
        .run(
            scene.py("import json, threading, multiprocessing, subprocess\nprint(json.dumps([1]))"),
        )
        .await;
    assert_eq!(text(&outcome.stdout.bytes), "[1]\n");
    if std::path::Path::new("/usr/bin/node").exists() {
        let mut job = scene.job("/usr/bin/node", &["-e", "console.log(JSON.stringify([1]))"]);
        job.stdin = b"x".to_vec();
        let outcome = scene.run(job).await;
        assert_eq!(text(&outcome.stdout.bytes), "[1]\n");
    }
}

contained!(a_host_that_refuses_part_of_the_way_is_told_apart_from_a_broken_one);
async fn a_host_that_refuses_part_of_the_way_is_told_apart_from_a_broken_one(scene: Scene) {
    // Namespaces can be made, but nothing can be mounted in them: some distributions do this.
    refuse(libc::SYS_mount);
    let error = Sandbox::start(Settings::default())
        .await
        .err()
        .expect("something is missing");
    let SandboxError::Unenforceable { missing } = &error else {
        panic!("another error: {error}");
    };
    if scene.is_full() {
        assert!(
            missing[0].why.starts_with("making mounts private: "),
            "{error}"
        );
    }
    let degraded = Scene::new(settings()).await;
    assert_eq!(degraded.level, Level::Degraded);
    let outcome = degraded
        .run(degraded.sh("cat SKILL.md; cat ../*; cat /etc/shadow"))
        .await;
    assert_eq!(text(&outcome.stdout.bytes), "a skill");
    // A sandbox that was started before says what is wrong instead of going on with less.
    if scene.is_full() {
        let error = scene
            .sandbox
            .run(scene.sh("true"))
            .await
            .expect_err("no mounts");
        assert_eq!(error.code(), "sandbox-prepare", "{error}");
    }
}

contained!(no_flag_lets_jobs_run_as_root);
async fn no_flag_lets_jobs_run_as_root(scene: Scene) {
    if scene.is_full() {
        assert_ne!(scene.sandbox.protections().uid, 0);
        return;
    }
    // Root that may not become anybody else, as in a container without that capability.
    refuse(libc::SYS_setuid);
    let started = Sandbox::start(settings()).await;
    if nix::unistd::Uid::effective().is_root() {
        let error = started.err().expect("refused whatever is allowed");
        assert_eq!(error.code(), "sandbox-unenforceable");
        assert!(error.to_string().contains("own-user ("), "{error}");
    } else {
        assert!(
            started
                .expect("an ordinary user needs no other")
                .protections()
                .has(Protection::OwnUser)
        );
    }
}
