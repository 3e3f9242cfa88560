//! `skills worker`: packages are prepared when skills are loaded, beside the work.

use std::process::Command;

use super::wheels::{Packages, script};
use crate::mesh::bench::{Agent, Mesh, Process, processes_with, until};

/// A skill in `skills/` with this script for Python.
fn skill(mesh: &Mesh, name: &str, script: &str) {
    mesh.sandbox
        .write(&format!("skills/{name}/scripts/run.py"), script);
    mesh.sandbox.write(
        &format!("skills/{name}/SKILL.md"),
        &format!("---\nname: {name}\ndescription: Does {name} for tests.\n---\n"),
    );
}

fn worker_command(mesh: &Mesh, options: &[&str]) -> Command {
    let mut command = mesh.command(&["--json", "worker", "--topic", "T", "--skills-dir", "skills"]);
    command.args(["--sandbox", "available", "--metrics", "127.0.0.1:0"]);
    command.args(options).env("WORKER_NAME", "a");
    command
}

fn worker(mesh: &Mesh, packages: &Packages<'_>, options: &[&str]) -> Process {
    let mut command = worker_command(mesh, options);
    packages.offer(&mut command);
    Process::start(&mut command)
}

fn names(worker: &Process) -> Vec<&str> {
    let names = worker.start["skills"].as_array().expect("names");
    names.iter().filter_map(|name| name.as_str()).collect()
}

fn ask(agent: &Agent, skill: &str) -> String {
    agent.result("T", &format!(r#"{{"skill": "{skill}"}}"#))
}

fn why_not(agent: &Agent, skill: &str) -> String {
    agent.error("T", &format!(r#"{{"skill": "{skill}"}}"#))
}

const WHICH: &str = "import thing; print(thing.version)";

#[test]
fn a_worker_prepares_before_it_serves_and_leaves_out_what_cannot_be_prepared() {
    let mesh = Mesh::start();
    let packages = Packages::by_uv(&mesh.sandbox);
    packages.add("thing", "1.0", "version = 'one'\n");
    skill(&mesh, "first", &script(&["thing"], WHICH));
    skill(&mesh, "second", &script(&["thing>0.5"], WHICH));
    skill(
        &mesh,
        "third",
        &script(&["thing"], "import os, thing; print(os.getpid() > 0)"),
    );
    skill(&mesh, "lost", &script(&["no-such-package"], WHICH));
    mesh.skill("plain", "echo plain\n");
    let worker = worker(&mesh, &packages, &[]);
    assert_eq!(names(&worker), ["first", "plain", "second", "third"]);
    // Two distinct sets of requirements.
    assert_eq!(packages.environments().len(), 2);
    let agent = mesh.agent();
    // Warm as well as cold.
    for _ in 0..3 {
        assert_eq!(ask(&agent, "first"), "one\n");
        assert_eq!(ask(&agent, "second"), "one\n");
        assert_eq!(ask(&agent, "third"), "True\n");
        assert_eq!(ask(&agent, "plain"), "plain\n");
    }
    let why = why_not(&agent, "lost");
    assert!(
        why.contains("python-dependencies: ") && why.contains("No solution found"),
        "{why}"
    );
    assert!(worker.log().contains("no-such-package"), "{}", worker.log());

    // It is tried again when the skill changes.
    packages.add("thing", "2.0", "version = 'two'\n");
    skill(&mesh, "lost", &script(&["thing==2.0"], WHICH));
    until("the mended skill is served", || {
        agent.call("T", r#"{"skill": "lost"}"#).content == "two\n"
    });
    // What needs other packages now goes on as it was until those are there.
    skill(&mesh, "second", &script(&["thing", "thing<2"], WHICH));
    skill(&mesh, "first", &script(&["thing>=2"], WHICH));
    until("the new requirement counts", || {
        let said = ask(&agent, "first");
        assert!(said == "one\n" || said == "two\n", "{said}");
        said == "two\n"
    });
    // Removed under its feet, it is made again.
    let folder = mesh.sandbox.home().join(".skills/.cache/python");
    for name in packages.environments() {
        std::fs::remove_dir_all(folder.join(name)).expect("removed");
    }
    until("the environments are back", || {
        agent.call("T", r#"{"skill": "first"}"#).content == "two\n"
    });
    // What a running worker uses is not cleared away.
    mesh.sandbox.run(&["cache", "clear"]).ok();
    assert_eq!(ask(&agent, "first"), "two\n");
}

#[test]
fn preparing_delays_no_other_skill_and_ends_when_it_takes_too_long() {
    let mesh = Mesh::start();
    let packages = Packages::by_uv(&mesh.sandbox);
    skill(&mesh, "slow", &script(&["thing"], WHICH));
    mesh.skill("plain", "echo plain\n");
    let mut command = worker_command(&mesh, &["--prepare-wait", "0", "--prepare-timeout", "20"]);
    let _index = packages.stall(&mut command);
    let worker = Process::start(&mut command);
    assert_eq!(names(&worker), ["plain"]);
    let agent = mesh.agent();
    assert_eq!(ask(&agent, "plain"), "plain\n");
    let why = why_not(&agent, "slow");
    assert!(why.contains("python-dependencies-preparing"), "{why}");
    until("it is given up", || {
        assert_eq!(ask(&agent, "plain"), "plain\n");
        why_not(&agent, "slow").contains("ended after 20 s")
    });
    assert_eq!(packages.unfinished(), 0);
    assert!(!worker.log().contains("hush"), "{}", worker.log());
}

#[test]
fn two_workers_at_once_make_one_environment() {
    let mesh = Mesh::start();
    let packages = Packages::by_uv(&mesh.sandbox);
    packages.add("thing", "1.0", "version = 'one'\n");
    skill(&mesh, "first", &script(&["thing"], WHICH));
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| worker(&mesh, &packages, &[])))
            .collect();
        for worker in started {
            let worker = worker.join().expect("it starts");
            assert_eq!(names(&worker), ["first"], "{}", worker.log());
        }
    });
    assert_eq!(
        (packages.environments().len(), packages.unfinished()),
        (1, 0)
    );
}

#[test]
fn what_kill_9_leaves_of_preparing_is_ended_and_removed_by_the_next_start() {
    let mesh = Mesh::start();
    let packages = Packages::by_uv(&mesh.sandbox);
    packages.add("thing", "1.0", "version = 'one'\n");
    skill(&mesh, "first", &script(&["thing"], WHICH));
    let mut command = worker_command(&mesh, &["--prepare-wait", "0"]);
    let index = packages.stall(&mut command);
    let mut killed = Process::start(&mut command);
    let _asked = index.accept().expect("the installer asks the index");
    killed.kill();
    let marker = mesh
        .sandbox
        .home()
        .join(".skills/.cache/python")
        .display()
        .to_string();
    assert_eq!(packages.unfinished(), 1);
    assert!(
        processes_with(&marker) > 0,
        "the installer goes on by itself"
    );
    let worker = worker(&mesh, &packages, &[]);
    assert_eq!(names(&worker), ["first"], "{}", worker.log());
    assert_eq!(
        (packages.environments().len(), packages.unfinished()),
        (1, 0)
    );
    assert_eq!(processes_with(&format!("{marker}/.building")), 0);
    assert_eq!(ask(&mesh.agent(), "first"), "one\n");
}

/// The warm interpreter forks for every request: what is run in it before would be there for all of them.
#[test]
fn a_package_that_is_run_at_every_start_is_run_in_each_job_only() {
    let mesh = Mesh::start();
    let packages = Packages::by_uv(&mesh.sandbox);
    let files = [
        ("hooked.py", "import os\nat = os.getpid()\n"),
        ("hooked.pth", "import hooked\n"),
    ];
    packages.add_files("hooked", "1.0", &files);
    skill(
        &mesh,
        "first",
        &script(
            &["hooked"],
            "import hooked, os; print(hooked.at == os.getpid())",
        ),
    );
    let _worker = worker(&mesh, &packages, &[]);
    let agent = mesh.agent();
    for _ in 0..3 {
        assert_eq!(ask(&agent, "first"), "True\n");
    }
}
