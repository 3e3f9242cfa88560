//! Who runs a request, and that it is answered once whatever happens to workers.

use super::bench::{Mesh, Process, long_sleep, processes_with, until};

#[test]
fn two_workers_on_a_topic_execute_each_request_once() {
    let mesh = Mesh::start();
    mesh.skill("who", "echo $WORKER_NAME\n");
    let workers = ["a", "b"].map(|name| mesh.worker(name, "T", &[]));
    until("both are there", || {
        mesh.proxy.metric("skills_proxy_workers", &[]) == 2.0
    });
    let agent = mesh.agent();
    for number in 0..40 {
        agent.ask("T", &number.to_string(), r#"{"skill": "who"}"#);
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut by = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..40 {
        let reply = agent.hear();
        assert_eq!(reply.status, "success", "{reply:?}");
        assert!(seen.insert(reply.id), "answered twice");
        *by.entry(reply.content).or_default() += 1;
    }
    assert_eq!(by.len(), 2, "both had work: {by:?}");
    let executed: f64 = workers
        .iter()
        .map(|worker| worker.metric("skills_worker_requests_total", &[]))
        .sum();
    assert_eq!(executed, 40.0);
    let answered = ["topic=\"T\"", "outcome=\"answered\""];
    until("the proxy has counted", || {
        mesh.proxy.metric("skills_proxy_requests_total", &answered) == 40.0
    });
}

#[test]
fn what_is_sent_while_no_worker_is_there_is_answered_when_one_comes() {
    let mesh = Mesh::start();
    mesh.skill("who", "echo $WORKER_NAME\n");
    let agent = mesh.agent();
    for number in 0..10 {
        agent.ask("T", &number.to_string(), r#"{"skill": "who"}"#);
    }
    until("they wait", || {
        mesh.proxy.metric("skills_proxy_waiting", &["topic=\"T\""]) == 10.0
    });
    let _worker = mesh.worker("late", "T", &[]);
    for _ in 0..10 {
        assert_eq!(agent.hear().content, "late\n");
    }
}

#[test]
fn a_long_job_delays_nobody_while_a_slot_is_free() {
    let mesh = Mesh::start();
    mesh.held_skill();
    mesh.skill("quick", "echo quick\n");
    let _workers = ["a", "b"].map(|name| mesh.worker(name, "T", &["--workers", "1"]));
    until("both are there", || {
        mesh.proxy.metric("skills_proxy_workers", &[]) == 2.0
    });
    let agent = mesh.agent();
    agent.ask("T", "p-long", &mesh.held_intent("g"));
    assert!(agent.hear().content.starts_with("begun"));
    // All of them go past the long one, which is still running.
    for number in 0..10 {
        agent.ask("T", &number.to_string(), r#"{"skill": "quick"}"#);
    }
    for _ in 0..10 {
        let reply = agent.hear();
        assert_eq!(reply.content, "quick\n", "{reply:?}");
    }
    mesh.open("g");
    assert_eq!(last_of(&agent, "p-long").status, "success");
}

#[test]
fn sigterm_lets_a_running_job_end_and_exits_with_0() {
    let mesh = Mesh::start();
    mesh.held_skill();
    let mut worker = mesh.worker("a", "T", &["--drain", "600"]);
    let agent = mesh.agent();
    agent.ask("T", "p1", &mesh.held_intent("g"));
    assert_eq!(agent.hear().content, "begun by a\n");
    worker.terminate();
    until("it is stopping", || worker.log().contains("stopping"));
    mesh.open("g");
    let reply = last_of(&agent, "p1");
    assert_eq!(reply.content, "begun by a\nended by a\n", "{reply:?}");
    assert_eq!(worker.ended(), Some(0), "{}", worker.log());
}

#[test]
fn sigterm_hands_on_what_does_not_end_in_time_and_exits_with_0() {
    let mesh = Mesh::start();
    mesh.held_skill();
    let mut worker = mesh.worker("a", "T", &["--drain", "0"]);
    let agent = mesh.agent();
    agent.ask("T", "p1", &mesh.held_intent("g"));
    assert_eq!(agent.hear().content, "begun by a\n");
    let _other = mesh.worker("b", "T", &[]);
    worker.terminate();
    assert_eq!(worker.ended(), Some(0), "{}", worker.log());
    assert_eq!(agent.hear().content, "begun by b\n");
    mesh.open("g");
    assert_eq!(last_of(&agent, "p1").content, "begun by b\nended by b\n");
}

#[test]
fn a_second_ctrl_c_cuts_the_drain_short_and_what_ran_is_handed_on() {
    let mesh = Mesh::start();
    mesh.held_skill();
    let mut worker = mesh.worker("a", "T", &["--drain", "600"]);
    let agent = mesh.agent();
    agent.ask("T", "p1", &mesh.held_intent("g"));
    assert_eq!(agent.hear().content, "begun by a\n");
    worker.signal("INT");
    until("it drains", || worker.log().contains("stopping:"));
    assert!(worker.is_running(), "{}", worker.log());
    worker.signal("INT");
    assert_eq!(worker.ended(), Some(130), "{}", worker.log());
    let _other = mesh.worker("b", "T", &[]);
    assert_eq!(agent.hear().content, "begun by b\n");
    mesh.open("g");
    assert_eq!(last_of(&agent, "p1").content, "begun by b\nended by b\n");
}

#[test]
fn a_second_sigterm_ends_a_proxy_that_waits_for_its_workers() {
    let mut mesh = Mesh::with(&["--drain", "600"]);
    mesh.held_skill();
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    agent.ask("T", "p1", &mesh.held_intent("g"));
    assert_eq!(agent.hear().content, "begun by a\n");
    mesh.proxy.terminate();
    until("it drains", || mesh.proxy.log().contains("stopping:"));
    assert!(mesh.proxy.is_running(), "{}", mesh.proxy.log());
    mesh.proxy.terminate();
    assert_eq!(mesh.proxy.ended(), Some(143), "{}", mesh.proxy.log());
}

#[test]
fn kill_9_of_a_worker_has_another_answer_and_leaves_no_orphan() {
    let mesh = Mesh::start();
    let sleep = long_sleep();
    mesh.skill(
        "held",
        &format!(
            "gate=$(cat)\necho \"begun by $WORKER_NAME\"\n[ \"$WORKER_NAME\" = a ] && sleep {sleep}\n\
             while [ ! -e \"$gate\" ]; do sleep 0.05; done\necho \"ended by $WORKER_NAME\"\n"
        ),
    );
    let mut first = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    agent.ask("T", "p1", &mesh.held_intent("g"));
    assert_eq!(agent.hear().content, "begun by a\n");
    until("it sleeps", || processes_with(&sleep) > 0);
    let _second = mesh.worker("b", "T", &[]);
    first.kill();
    assert_eq!(agent.hear().content, "begun by b\n");
    until("its processes are gone", || processes_with(&sleep) == 0);
    mesh.open("g");
    assert_eq!(last_of(&agent, "p1").content, "begun by b\nended by b\n");
    until("it was handed on once", || {
        mesh.proxy.metric("skills_proxy_handed_on_total", &[]) == 1.0
    });
}

#[test]
fn a_proxy_that_stops_lets_running_requests_end_and_exits_with_0() {
    let mut mesh = Mesh::with(&["--drain", "600"]);
    mesh.held_skill();
    let _worker = mesh.worker("a", "T", &["--workers", "1"]);
    let agent = mesh.agent();
    agent.ask("T", "p1", &mesh.held_intent("g"));
    assert_eq!(agent.hear().content, "begun by a\n");
    agent.ask("T", "waits", r#"{"skill": "held"}"#);
    until("it waits", || {
        mesh.proxy.metric("skills_proxy_waiting", &["topic=\"T\""]) == 1.0
    });
    mesh.proxy.terminate();
    let refused = agent.hear();
    assert_eq!(refused.id, "waits");
    assert!(refused.error.starts_with("stopping: "), "{refused:?}");
    mesh.open("g");
    assert_eq!(last_of(&agent, "p1").content, "begun by a\nended by a\n");
    let proxy: &mut Process = &mut mesh.proxy;
    assert_eq!(proxy.ended(), Some(0), "{}", proxy.log());
}

/// The last word on a request, past its news.
#[track_caller]
fn last_of(agent: &super::bench::Agent, id: &str) -> super::bench::Reply {
    loop {
        let reply = agent.hear();
        assert_eq!(reply.id, id, "{reply:?}");
        if reply.status != "progress" {
            return reply;
        }
    }
}
