//! Inputs and outputs of all sizes and kinds, time-outs, and what scripts leave behind.

use serde_json::json;

use super::bench::{Mesh, long_sleep, processes_with, until};

const MIB: usize = 1024 * 1024;

#[test]
fn a_script_that_reads_no_input_may_get_more_than_a_pipe_holds() {
    let mesh = Mesh::start();
    mesh.skill("deaf", "echo heard nothing\n");
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    for bytes in [0, 65_537, 5 * MIB] {
        let intent = json!({"skill": "deaf", "data": "x".repeat(bytes)});
        assert_eq!(agent.result("T", &intent.to_string()), "heard nothing\n");
    }
}

#[test]
fn inputs_beyond_what_the_environment_holds_arrive_whole() {
    let mesh = Mesh::start();
    mesh.skill("count", "echo $(wc -c) ${#SKILLSCALE_INTENT}\n");
    mesh.sandbox.write(
        "skills/count-py/SKILL.md",
        "---\nname: count-py\ndescription: Counts.\n---\n",
    );
    mesh.sandbox.write(
        "skills/count-py/scripts/run.py",
        "import os, sys\nprint(len(sys.stdin.buffer.read()), len(os.environ.get('SKILLSCALE_INTENT', '')))\n",
    );
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    for skill in ["count", "count-py"] {
        for (bytes, variable) in [(10, 10), (140 * 1024, 0), (5 * MIB, 0)] {
            let intent = json!({"skill": skill, "data": "x".repeat(bytes)});
            let expected = format!("{bytes} {variable}\n");
            assert_eq!(agent.result("T", &intent.to_string()), expected, "{skill}");
        }
    }
}

#[test]
fn output_that_is_not_utf_8_is_an_answer_and_not_the_end_of_the_worker() {
    let mesh = Mesh::start();
    mesh.skill("latin", "printf 'caf\\351 \\377\\000|'\n");
    mesh.skill("complain", "printf 'caf\\351' >&2; exit 3\n");
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    assert_eq!(
        agent.result("T", r#"{"skill": "latin"}"#),
        "caf\u{fffd} \u{fffd}\0|"
    );
    assert_eq!(
        agent.error("T", r#"{"skill": "complain"}"#),
        "Skill execution failed (exit=3): caf\u{fffd}"
    );
    assert!(
        agent
            .result("T", r#"{"skill": "latin"}"#)
            .starts_with("caf")
    );
}

#[test]
fn output_without_end_is_ended() {
    let mesh = Mesh::start();
    mesh.skill("endless", "exec yes\n");
    let _worker = mesh.worker("a", "T", &[]);
    let error = mesh.agent().error("T", r#"{"skill": "endless"}"#);
    assert!(
        error.starts_with("Skill execution failed (exit="),
        "{error}"
    );
    assert!(error.contains("wrote more than"), "{error}");
}

#[test]
fn a_time_out_ends_grandchildren_too_and_says_how_long_it_was() {
    let mesh = Mesh::start();
    let sleep = long_sleep();
    mesh.skill(
        "slow",
        // A shell may complain about what was ended under it, or not be quick enough to.
        &format!("exec 2>/dev/null; sh -c 'sleep {sleep}' & setsid sleep {sleep} & wait\n"),
    );
    let _worker = mesh.worker("a", "T", &["--timeout", "700"]);
    let agent = mesh.agent();
    let error = agent.error("T", r#"{"skill": "slow"}"#);
    assert_eq!(
        error,
        "Skill execution failed (exit=124): Execution timed out after 700 ms"
    );
    assert_eq!(
        processes_with(&sleep),
        0,
        "nothing lives when it is answered"
    );
}

#[test]
fn a_skill_is_ended_when_its_callers_time_is_over_and_the_caller_hears_it() {
    let mesh = Mesh::start();
    let sleep = long_sleep();
    mesh.skill("slow", &format!("exec sleep {sleep}\n"));
    mesh.skill("short", "sleep 0.2; echo done\n");
    // The worker itself would let it run for ten minutes.
    let worker = mesh.worker("a", "T", &["--workers", "1"]);
    let arguments = ["call", "T", "--timeout", "1", "--skill", "slow", "x"];
    let ran = mesh.sandbox.finish(&mut mesh.command(&arguments));
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    let said = ran.stderr();
    assert!(said.contains("skill-timed-out"), "{said}");
    assert!(said.contains("Execution timed out after "), "{said}");
    assert_eq!(processes_with(&sleep), 0, "the worker is free again");
    assert_eq!(
        worker.metric("skills_worker_running", &["topic=\"T\""]),
        0.0
    );
    // Whoever says no time leaves it to the worker, and so does who says nonsense.
    let agent = mesh.agent();
    for (id, time) in ["1", "-1", "null", "\"1\"", "100000"]
        .into_iter()
        .enumerate()
    {
        let request = format!(
            r#"{{"request_id": "t{id}", "reply_to": "AGENT_REPLY_9f8e7d6c", "intent": "{{\"skill\": \"short\"}}", "timeout_ms": {time}}}"#
        );
        agent.publish("T", request.as_bytes());
        let reply = agent.hear();
        let is_short = time == "1";
        assert_eq!(
            reply.code == "skill-timed-out",
            is_short,
            "{time}: {reply:?}"
        );
        assert_eq!(reply.content == "done\n", !is_short, "{time}: {reply:?}");
    }
}

#[test]
fn an_entry_point_that_asks_for_less_time_gets_less() {
    let mesh = Mesh::start();
    let sleep = long_sleep();
    let script = format!("exec sleep {sleep}\n");
    mesh.sandbox.write(
        "skills/slow/SKILL.md",
        "---\nname: slow\ndescription: Sleeps.\n---\n",
    );
    mesh.sandbox.write(
        "skills/slow/skill.yaml",
        "name: slow\nversion: 1.0.0\nentrypoints:\n  - name: run\n    command: scripts/run.sh\n    timeout-seconds: 1\n",
    );
    mesh.sandbox.write("skills/slow/scripts/run.sh", &script);
    let _worker = mesh.worker("a", "T", &[]);
    let error = mesh.agent().error("T", r#"{"skill": "slow"}"#);
    assert!(error.contains("timed out after 1000 ms"), "{error}");
}

#[test]
fn a_process_that_holds_the_pipes_delays_no_answer_and_lives_no_longer() {
    let mesh = Mesh::start();
    let sleep = long_sleep();
    mesh.skill("daemon", &format!("setsid sleep {sleep} & echo done\n"));
    let worker = mesh.worker("a", "T", &["--workers", "2"]);
    let agent = mesh.agent();
    for _ in 0..8 {
        assert_eq!(agent.result("T", r#"{"skill": "daemon"}"#), "done\n");
        assert_eq!(processes_with(&sleep), 0);
    }
    until("they are counted", || {
        worker.metric("skills_worker_leftover_processes_total", &[]) == 8.0
    });
}

#[test]
fn a_script_sees_no_descriptor_but_its_own() {
    let mesh = Mesh::start();
    let look =
        "for fd in 3 4 5 6 7 8 9; do (true >&$fd) 2>/dev/null && echo $fd; done; echo looked\n";
    mesh.skill("look", look);
    let python = "import os\nfor fd in range(3, 256):\n    try:\n        os.fstat(fd)\n        print(fd)\n    \
                  except OSError:\n        pass\nprint('looked')\n";
    mesh.sandbox.write(
        "skills/look-py/SKILL.md",
        "---\nname: look-py\ndescription: Looks.\n---\n",
    );
    mesh.sandbox.write("skills/look-py/scripts/run.py", python);
    let _worker = mesh.worker("a", "T", &["--workers", "4"]);
    let agent = mesh.agent();
    for number in 0..8 {
        let skill = ["look", "look-py"][number % 2];
        let intent = json!({ "skill": skill }).to_string();
        agent.ask("T", &number.to_string(), &intent);
    }
    for _ in 0..8 {
        assert_eq!(agent.hear().content, "looked\n");
    }
}
