//! Skills that change while they are served.

use super::bench::{Mesh, until};

#[test]
fn skills_that_come_change_and_go_are_noticed_and_no_request_is_lost() {
    let mesh = Mesh::start();
    mesh.held_skill();
    mesh.skill("steady", "echo steady\n");
    let worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    let other = super::bench::Agent::new(&mesh, "AGENT_REPLY_0000aaaa");
    other.ask("T", "p1", &mesh.held_intent("g"));
    assert_eq!(other.hear().content, "begun by a\n");

    // Requests go on all the while.
    let asked = |what: &str, holds: &mut dyn FnMut() -> bool| {
        until(what, || {
            assert_eq!(agent.result("T", r#"{"skill": "steady"}"#), "steady\n");
            holds()
        });
    };
    mesh.skill("fresh", "echo fresh\n");
    asked("a new skill is served", &mut || is_served(&agent, "fresh"));
    // The default script goes, and a manifest names another.
    let folder = mesh.sandbox.project().join("skills/fresh");
    mesh.sandbox
        .write("skills/fresh/scripts/other.sh", "echo other\n");
    let manifest = "name: fresh\nversion: 1.0.1\nentrypoints:\n  - name: other\n    command: scripts/other.sh\n";
    mesh.sandbox.write("next.yaml", manifest);
    std::fs::rename(
        mesh.sandbox.project().join("next.yaml"),
        folder.join("skill.yaml"),
    )
    .expect("renamed");
    asked("its new entry point is run", &mut || {
        agent.result("T", r#"{"skill": "fresh"}"#) == "other\n"
    });
    // Half-written, it stays as it was.
    std::fs::write(folder.join("SKILL.md"), "---\nname: [").expect("written");
    until("the worker has seen it", || {
        worker.log().contains("stays as it was")
    });
    assert_eq!(agent.result("T", r#"{"skill": "fresh"}"#), "other\n");
    std::fs::remove_dir_all(&folder).expect("removed");
    asked("a removed skill is gone", &mut || {
        !is_served(&agent, "fresh")
    });

    mesh.open("g");
    let last = std::iter::repeat_with(|| other.hear()).find(|reply| reply.status != "progress");
    assert_eq!(last.expect("an answer").content, "begun by a\nended by a\n");
}

fn is_served(agent: &super::bench::Agent, skill: &str) -> bool {
    let reply = agent.call("T", &format!(r#"{{"skill": "{skill}"}}"#));
    assert!(
        reply.status == "success" || reply.error.starts_with("No matching skill found"),
        "{reply:?}"
    );
    reply.status == "success"
}

#[test]
fn a_release_is_switched_by_a_link() {
    let mesh = Mesh::start();
    let project = mesh.sandbox.project();
    for release in ["1", "2"] {
        mesh.skill_at(
            &format!("../releases/{release}/who"),
            "who",
            &format!("echo release {release}\n"),
        );
    }
    let link = |release: &str| {
        let next = project.join("next");
        std::os::unix::fs::symlink(format!("releases/{release}"), &next).expect("a link");
        std::fs::rename(next, project.join("current")).expect("switched");
    };
    link("1");
    let _worker = mesh.worker("a", "T", &["--skills-dir", "current"]);
    let agent = mesh.agent();
    assert_eq!(agent.result("T", r#"{"skill": "who"}"#), "release 1\n");
    link("2");
    // The old one need not wait for the worker to look.
    std::fs::remove_dir_all(project.join("releases/1")).expect("removed");
    for _ in 0..5 {
        assert_eq!(agent.result("T", r#"{"skill": "who"}"#), "release 2\n");
    }
}

#[test]
fn an_agents_md_says_which_skills_are_served() {
    let mesh = Mesh::start();
    for name in ["listed", "unlisted"] {
        mesh.skill_at(&format!("deep/{name}"), name, &format!("echo {name}\n"));
    }
    mesh.skill_at("../outside", "outside", "echo outside\n");
    let list = |locations: &[&str]| {
        let skills: String = locations
            .iter()
            .map(|location| {
                format!("<skill>\n<name>x</name>\n<location>{location}</location>\n</skill>\n")
            })
            .collect();
        format!("# Agents\n\n<available_skills>\n{skills}</available_skills>\n")
    };
    mesh.sandbox.write(
        "skills/AGENTS.md",
        &list(&["deep/listed/", "../outside", "deep/absent"]),
    );
    let worker = mesh.worker("a", "T", &[]);
    assert_eq!(worker.start["skills"], serde_json::json!(["listed"]));
    let log = worker.log();
    assert!(
        log.contains("outside of it") && log.contains("no SKILL.md where it says"),
        "{log}"
    );
    let agent = mesh.agent();
    assert_eq!(agent.result("T", r#"{"skill": "listed"}"#), "listed\n");
    mesh.sandbox
        .write("skills/AGENTS.md", &list(&["deep/unlisted"]));
    until("the new list counts", || {
        is_served(&agent, "unlisted") && !is_served(&agent, "listed")
    });
    // A file that somebody names may list what lies elsewhere.
    mesh.sandbox
        .write("lists/AGENTS.md", &list(&["../outside/SKILL.md"]));
    let named = mesh.worker("b", "U", &["--agents-md", "lists/AGENTS.md"]);
    assert_eq!(
        named.start["skills"],
        serde_json::json!(["outside", "unlisted"])
    );
}

#[test]
fn installed_skills_are_served() {
    let mesh = Mesh::start();
    mesh.skill_at("../made", "made", "echo made\n");
    let mut install = mesh.command(&["install", "./made"]);
    mesh.sandbox.finish(&mut install).ok();
    let mut command = mesh.command(&["--json", "worker", "--installed", "--sandbox", "available"]);
    command.env("WORKER_NAME", "a");
    let _worker = super::bench::Process::start(&mut command);
    let agent = mesh.agent();
    assert_eq!(
        agent.result("TOPIC_DEFAULT", r#"{"skill": "made"}"#),
        "made\n"
    );
}
