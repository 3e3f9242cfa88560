//! What every transport must do. Each function is a test on each of them.

use std::sync::Arc;
use std::time::Duration;

use skill_format::Explain;
use skill_mesh::agent::{Agent, CallError};
use skill_mesh::queue::Settings;

use crate::bench::{RAW, Script, Worker, agent, agent_settings, call};
use crate::transports::{Jetstream, Memory, Transport, Zmq};

macro_rules! on_every_transport {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name::<super::Memory>().await;
            })*
        }
        mod zmq {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name::<super::Zmq>().await;
            })*
        }
        mod nats {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name::<super::Jetstream>().await;
            })*
        }
    };
}

on_every_transport!(
    two_workers_on_a_topic_run_each_request_once,
    requests_sent_before_any_worker_are_answered_when_one_comes,
    a_dead_workers_request_is_run_by_another,
    a_stopped_worker_finishes_what_runs_and_gets_nothing_new,
    what_does_not_end_within_the_drain_is_handed_on,
    a_request_without_a_worker_is_refused_at_its_deadline,
    a_request_whose_workers_are_all_at_work_is_refused_at_its_deadline,
    a_request_that_is_sent_again_is_run_once,
    overload_is_answered_at_once,
    a_request_to_a_longer_topic_is_not_run_by_the_shorter_ones_worker,
    one_slow_request_in_front_does_not_delay_others_while_a_worker_is_idle,
    any_bytes_come_back_as_text,
    large_intents_and_results_arrive_whole,
    a_result_that_is_too_large_is_an_error,
    a_panicking_executor_is_an_error_and_the_worker_lives,
    news_come_before_the_answer_to_those_who_want_them,
    a_bad_topic_is_refused_before_it_is_sent,
    a_request_that_kills_its_workers_is_given_up,
    every_request_is_answered_once_while_workers_keep_dying_and_draining,
);

async fn two_workers_on_a_topic_run_each_request_once<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _workers = ["a", "b"].map(|name| Worker::start(&mesh, &script, name, "T", 4));
    let agent = agent(&mesh);
    let calls: Vec<_> = (0..200)
        .map(|n| call(&agent, "T", &format!("job {n}")))
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), format!("job {n}"));
    }
    let began = script.began();
    assert_eq!(began.len(), 200, "executed twice, or not at all");
    for name in ["a", "b"] {
        assert!(began.iter().any(|(by, _)| by == name), "{name} was idle");
    }
    let counts = mesh.counts(|counts| counts.answered == 200).await;
    assert_eq!(
        (counts.accepted, counts.late, counts.handed_on),
        (200, 0, 0)
    );
}

async fn requests_sent_before_any_worker_are_answered_when_one_comes<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let agent = agent(&mesh);
    let calls: Vec<_> = (0..50)
        .map(|n| call(&agent, "T", &format!("{n}")))
        .collect();
    mesh.counts(|counts| counts.accepted == 50).await;
    let _worker = Worker::start(&mesh, &script, "late", "T", 4);
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), n.to_string());
    }
}

async fn a_dead_workers_request_is_run_by_another<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let first = Worker::start(&mesh, &script, "first", "T", 1);
    let agent = agent(&mesh);
    let answer = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    let _second = Worker::start(&mesh, &script, "second", "T", 1);
    first.kill().await;
    assert_eq!(script.until_begun("hold x", 2).await, "second");
    script.open("x");
    assert_eq!(answer.await.unwrap(), "held x");
    let counts = mesh.counts(|counts| counts.answered == 1).await;
    assert_eq!((counts.accepted, counts.handed_on), (1, 1));
}

async fn a_stopped_worker_finishes_what_runs_and_gets_nothing_new<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let mut first = Worker::start(&mesh, &script, "first", "T", 4);
    let agent = agent(&mesh);
    let running = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    first.stop();
    // Whatever still reaches it is handed back, so that it waits for the second.
    let next: Vec<_> = (0..20)
        .map(|n| call(&agent, "T", &format!("{n}")))
        .collect();
    mesh.counts(|counts| counts.accepted == 21).await;
    let _second = Worker::start(&mesh, &script, "second", "T", 4);
    for (n, call) in next.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), n.to_string());
    }
    script.open("x");
    assert_eq!(running.await.unwrap(), "held x");
    let summary = first.ended().await;
    assert!(!summary.cut_off);
    assert_eq!(summary.failed, 0);
    assert_eq!(script.began().len(), 21, "each ran once");
}

async fn what_does_not_end_within_the_drain_is_handed_on<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let drain = Duration::from_millis(1);
    let mut first = Worker::with_drain(&mesh, &script, "first", "T", 1, drain);
    let agent = agent(&mesh);
    let answer = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    let _second = Worker::start(&mesh, &script, "second", "T", 1);
    first.stop();
    assert_eq!(first.ended().await.handed_back, 1);
    assert_eq!(script.until_begun("hold x", 2).await, "second");
    script.open("x");
    assert_eq!(answer.await.unwrap(), "held x");
}

async fn a_request_without_a_worker_is_refused_at_its_deadline<T: Transport>() {
    let mesh = T::start(Settings {
        wait: Duration::from_millis(50),
        ..Settings::default()
    });
    let error = agent(&mesh).call("T", "x").await.unwrap_err();
    assert_eq!(error.code(), "no-workers");
    let error = error.to_string();
    assert!(error.starts_with("no-workers: topic T"), "{error}");
    mesh.counts(|counts| counts.no_workers == 1).await;
}

async fn a_request_whose_workers_are_all_at_work_is_refused_at_its_deadline<T: Transport>() {
    let mesh = T::start(Settings {
        wait: Duration::from_millis(500),
        ..Settings::default()
    });
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    // Until the worker is there.
    while agent.call("T", "x").await.is_err() {}
    let running = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    let error = agent.call("T", "y").await.unwrap_err();
    assert_eq!(error.code(), "deadline");
    let error = error.to_string();
    assert!(
        error.starts_with("deadline: no worker of topic T"),
        "{error}"
    );
    mesh.counts(|counts| counts.deadline >= 1).await;
    script.open("x");
    assert_eq!(running.await.unwrap(), "held x");
}

async fn a_request_that_is_sent_again_is_run_once<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _workers = ["a", "b"].map(|name| Worker::start(&mesh, &script, name, "T", 4));
    let mut settings = agent_settings();
    settings.resend = Duration::from_millis(5);
    let agent = Agent::new(mesh.agent(), settings);
    let answer = call(&agent, "T", "hold x");
    mesh.counts(|counts| counts.duplicates >= 3).await;
    script.open("x");
    assert_eq!(answer.await.unwrap(), "held x");
    assert_eq!(script.began().len(), 1);
}

async fn overload_is_answered_at_once<T: Transport>() {
    let mesh = T::start(Settings {
        waiting_max: 2,
        ..Settings::default()
    });
    let agent = agent(&mesh);
    let calls: Vec<_> = (0..5).map(|n| call(&agent, "T", &format!("{n}"))).collect();
    mesh.counts(|counts| counts.busy == 3).await;
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let mut busy = 0;
    for (n, call) in calls.into_iter().enumerate() {
        let answer = call.await.unwrap();
        if answer.starts_with("busy: topic T has 2 requests waiting") {
            busy += 1;
        } else {
            assert_eq!(answer, n.to_string());
        }
    }
    assert_eq!(busy, 3);
}

async fn a_request_to_a_longer_topic_is_not_run_by_the_shorter_ones_worker<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _short = Worker::start(&mesh, &script, "TOPIC_B", "TOPIC_B", 4);
    let agent = agent(&mesh);
    assert_eq!(agent.call("TOPIC_B", "one").await.unwrap(), "one");
    let long = call(&agent, "TOPIC_BETA", "two");
    mesh.counts(|counts| counts.accepted == 2).await;
    assert_eq!(agent.call("TOPIC_B", "three").await.unwrap(), "three");
    let _long = Worker::start(&mesh, &script, "TOPIC_BETA", "TOPIC_BETA", 4);
    assert_eq!(long.await.unwrap(), "two");
    let expected = [
        ("TOPIC_B", "one"),
        ("TOPIC_B", "three"),
        ("TOPIC_BETA", "two"),
    ];
    assert_eq!(
        script.began(),
        expected.map(|(worker, intent)| (worker.to_owned(), intent.to_owned()))
    );
}

async fn one_slow_request_in_front_does_not_delay_others_while_a_worker_is_idle<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _workers = ["a", "b"].map(|name| Worker::start(&mesh, &script, name, "T", 1));
    let agent = agent(&mesh);
    let slow = call(&agent, "T", "hold x");
    let busy = script.until_begun("hold x", 1).await;
    for n in 0..20 {
        let intent = format!("{n}");
        assert_eq!(agent.call("T", &intent).await.unwrap(), intent);
        assert_ne!(script.until_begun(&intent, 1).await, busy);
    }
    assert!(!slow.is_finished());
    script.open("x");
    assert_eq!(slow.await.unwrap(), "held x");
}

async fn any_bytes_come_back_as_text<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let text = String::from_utf8_lossy(RAW).into_owned();
    assert_eq!(agent.call("T", "raw").await.unwrap(), text);
    let intent = "control \u{0} \u{1f} \u{7f}, separators \u{2028}, \u{fffd}\u{10ffff}, ends\r\n";
    assert_eq!(agent.call("T", intent).await.unwrap(), intent);
    let error = agent.call("T", "fail a \"reason\"\0").await.unwrap_err();
    assert_eq!(error.to_string(), "a \"reason\"\0");
}

async fn large_intents_and_results_arrive_whole<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let intent = "ä".repeat(1_000_000);
    assert!(agent(&mesh).call("T", &intent).await.unwrap() == intent);
}

async fn a_result_that_is_too_large_is_an_error<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    // As JSON each zero takes six bytes.
    let error = agent.call("T", "zeros 3000000").await.unwrap_err();
    assert!(
        error.to_string().starts_with("result-too-large: "),
        "{error}"
    );
    assert_eq!(error.code(), "result-too-large");
    let error = agent.call("T", &"x".repeat(17 << 20)).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { .. }));
    assert_eq!(agent.call("T", "ok").await.unwrap(), "ok");
}

async fn a_panicking_executor_is_an_error_and_the_worker_lives<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let error = agent.call("T", "panic on purpose").await.unwrap_err();
    assert!(matches!(error, CallError::Failed { .. }), "{error}");
    assert_eq!(error.code(), "worker-failed");
    let error = agent.call("T", "fail busy: I am not").await.unwrap_err();
    assert_eq!(
        error.code(),
        "skill-crashed",
        "an executor's code outranks the text"
    );
    assert_eq!(agent.call("T", "ok").await.unwrap(), "ok");
}

async fn news_come_before_the_answer_to_those_who_want_them<T: Transport>() {
    let mesh = T::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let mut news = Vec::new();
    let answer = agent
        .call_with_news("T", "news", |piece| news.push(piece))
        .await;
    assert_eq!(answer.unwrap(), b"three");
    assert_eq!(news, ["one", "two"]);
    assert_eq!(agent.call("T", "news").await.unwrap(), "three");
}

async fn a_bad_topic_is_refused_before_it_is_sent<T: Transport>() {
    let mesh = T::start(Settings::default());
    let agent = Arc::new(agent(&mesh));
    for topic in ["", "a\0b", &"x".repeat(256)] {
        let error = agent.call(topic, "x").await.unwrap_err();
        assert!(matches!(error, CallError::Topic { .. }), "{error}");
    }
}

async fn a_request_that_kills_its_workers_is_given_up<T: Transport>() {
    let mesh = T::start(Settings {
        attempts_max: 2,
        ..Settings::default()
    });
    let script = Script::new();
    let agent = agent(&mesh);
    let answer = call(&agent, "T", "hold x");
    let first = Worker::start(&mesh, &script, "first", "T", 1);
    script.until_begun("hold x", 1).await;
    first.kill().await;
    let second = Worker::start(&mesh, &script, "second", "T", 1);
    script.until_begun("hold x", 2).await;
    // Without a proxy only another worker can say that nobody may have it any more.
    let _third = Worker::start(&mesh, &script, "third", "T", 1);
    second.kill().await;
    let error = answer.await.unwrap();
    assert!(error.starts_with("workers-lost: 2 workers"), "{error}");
    assert_eq!(script.began().len(), 2);
}

async fn every_request_is_answered_once_while_workers_keep_dying_and_draining<T: Transport>() {
    let mesh = T::start(Settings {
        attempts_max: 1000,
        ..Settings::default()
    });
    let script = Script::new();
    let agent = agent(&mesh);
    let mut workers = std::collections::VecDeque::new();
    for n in 0..3 {
        workers.push_back(Worker::start(&mesh, &script, &format!("{n}"), "T", 4));
    }
    let mut calls = Vec::new();
    for round in 0..30 {
        for n in 0..10 {
            calls.push(call(&agent, "T", &format!("{round} {n}")));
        }
        // Held by whoever has it, so that somebody is always in the middle of something.
        let held = format!("hold {round}");
        calls.push(call(&agent, "T", &held));
        script.until_begun(&held, 1).await;
        let mut oldest = workers.pop_front().expect("three of them");
        workers.push_back(Worker::start(
            &mesh,
            &script,
            &format!("new {round}"),
            "T",
            4,
        ));
        if round % 2 == 0 {
            oldest.kill().await;
            script.open(&round.to_string());
        } else {
            oldest.stop();
            script.open(&round.to_string());
            assert!(!oldest.ended().await.cut_off);
        }
    }
    for (n, call) in calls.into_iter().enumerate() {
        let (round, n) = (n / 11, n % 11);
        let expected = match n {
            10 => format!("held {round}"),
            _ => format!("{round} {n}"),
        };
        assert_eq!(call.await.unwrap(), expected);
    }
    let counts = mesh.counts(|counts| counts.answered == 330).await;
    assert_eq!((counts.accepted, counts.workers_lost), (330, 0));
}
