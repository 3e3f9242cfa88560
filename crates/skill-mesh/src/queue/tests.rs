//! One test per promise of the queue; `model` checks them on random histories.

use std::time::Duration;

use super::*;

type Acts = Vec<Action<&'static str, &'static str>>;

struct Bench {
    queue: Queue<&'static str, &'static str>,
    now: Moment,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Self {
            queue: Queue::new(settings),
            // Beyond the time in which answers to a predecessor's requests are expected.
            now: Duration::from_secs(1000),
        }
    }

    fn act(
        &mut self,
        act: impl FnOnce(&mut Queue<&'static str, &'static str>, Moment, &mut Acts),
    ) -> Acts {
        let mut out = Vec::new();
        act(&mut self.queue, self.now, &mut out);
        out
    }

    fn join(&mut self, worker: WorkerId, topic: &str, slots: usize) -> Acts {
        self.act(|queue, now, out| queue.join(now, worker, topic, slots, out))
    }

    fn leave(&mut self, worker: WorkerId) -> Acts {
        self.act(|queue, now, out| queue.leave(now, worker, out))
    }

    fn offer(&mut self, topic: &str, id: &str) -> Acts {
        let offer = Offer {
            key: key(id),
            topic: topic.into(),
            body: "body",
            bytes: 10,
        };
        self.act(|queue, now, out| queue.offer(now, offer, out))
    }

    fn answer(&mut self, id: &str, answer: &'static str) -> Acts {
        self.act(|queue, now, out| queue.answer(now, &key(id), answer, answer.len(), out))
    }

    fn after(&mut self, time: Duration) -> Acts {
        self.now += time;
        self.act(|queue, now, out| queue.tick(now, out))
    }
}

fn key(id: &str) -> Key {
    Key::new("AGENT_REPLY_1", id)
}

fn delivered(worker: WorkerId, id: &str, attempt: u32) -> Acts {
    vec![Action::Deliver {
        worker,
        key: key(id),
        body: "body",
        attempt,
    }]
}

fn replied(id: &str, answer: &'static str) -> Acts {
    vec![Action::Reply {
        key: key(id),
        answer,
    }]
}

fn refusal(acts: &Acts) -> &Refusal {
    match acts.as_slice() {
        [Action::Refuse { refusal, .. }] => refusal,
        other => panic!("expected one refusal, got {other:?}"),
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn two_workers_of_a_topic_share_its_requests() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 4);
    bench.join(2, "T", 4);
    assert_eq!(bench.offer("T", "a"), delivered(1, "a", 1));
    assert_eq!(bench.offer("T", "b"), delivered(2, "b", 1));
    assert_eq!(bench.offer("T", "c"), delivered(1, "c", 1));
    assert_eq!(bench.answer("b", "ok"), replied("b", "ok"));
    assert_eq!(bench.offer("T", "d"), delivered(2, "d", 1));
}

#[test]
fn a_topic_is_matched_whole_and_not_by_its_prefix() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "TOPIC_B", 1);
    assert_eq!(bench.offer("TOPIC_BETA", "a"), vec![]);
    assert_eq!(bench.join(2, "TOPIC_BETA", 1), delivered(2, "a", 1));
}

#[test]
fn requests_wait_for_a_worker_in_their_order() {
    let mut bench = Bench::new(|_| ());
    bench.offer("T", "a");
    bench.offer("T", "b");
    assert_eq!(bench.join(1, "T", 1), delivered(1, "a", 1));
    let mut then = replied("a", "ok");
    then.extend(delivered(1, "b", 1));
    assert_eq!(bench.answer("a", "ok"), then);
}

#[test]
fn a_request_without_a_worker_is_refused_at_its_deadline() {
    let mut bench = Bench::new(|_| ());
    bench.offer("T", "a");
    assert_eq!(
        bench.queue.next_tick(),
        Some(bench.now + Settings::default().wait)
    );
    let acts = bench.after(MINUTE / 2);
    assert!(
        refusal(&acts)
            .to_string()
            .starts_with("no-workers: topic T has no worker")
    );
    // Said once; a duplicate hears it again.
    assert!(bench.after(MINUTE / 2).is_empty());
    assert!(matches!(
        refusal(&bench.offer("T", "a")),
        Refusal::NoWorkers { .. }
    ));
    assert_eq!(bench.queue.counts().no_workers, 1);
}

#[test]
fn a_topic_with_workers_at_work_is_not_said_to_have_none() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    bench.offer("T", "b");
    let acts = bench.after(Settings::default().wait);
    assert!(matches!(refusal(&acts), Refusal::Deadline { .. }));
    let counts = bench.queue.counts();
    assert_eq!((counts.deadline, counts.no_workers), (1, 0));
}

#[test]
fn an_overloaded_topic_says_busy_at_once_and_others_go_on() {
    let mut bench = Bench::new(|settings| settings.waiting_max = 2);
    bench.offer("T", "a");
    bench.offer("T", "b");
    let acts = bench.offer("T", "c");
    assert!(
        refusal(&acts)
            .to_string()
            .starts_with("busy: topic T has 2")
    );
    assert!(bench.offer("U", "d").is_empty());
    // It was not accepted, so that it may come again.
    bench.join(1, "T", 3);
    assert_eq!(bench.offer("T", "c"), delivered(1, "c", 1));
}

#[test]
fn the_bytes_of_all_requests_are_bounded() {
    let mut bench = Bench::new(|settings| settings.bytes_max = 25);
    bench.offer("T", "a");
    bench.offer("U", "b");
    assert!(matches!(
        refusal(&bench.offer("V", "c")),
        Refusal::Busy { .. }
    ));
    bench.join(1, "T", 1);
    bench.answer("a", "ok");
    assert!(bench.offer("V", "c").is_empty());
}

#[test]
fn made_up_topics_are_bounded_and_forgotten() {
    let mut bench = Bench::new(|settings| settings.topics_max = 2);
    bench.offer("T", "a");
    bench.offer("U", "b");
    assert!(matches!(
        refusal(&bench.offer("V", "c")),
        Refusal::Busy { .. }
    ));
    bench.after(MINUTE);
    assert!(bench.offer("V", "c").is_empty());
    assert_eq!(bench.queue.gauges(bench.now).count(), 1);
}

#[test]
fn a_duplicate_gets_the_first_answer_again_and_is_not_run_again() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 4);
    bench.offer("T", "a");
    assert_eq!(bench.offer("T", "a"), vec![]);
    bench.answer("a", "first");
    assert_eq!(bench.offer("T", "a"), replied("a", "first"));
    assert_eq!(bench.queue.counts().duplicates, 2);
    assert_eq!(bench.queue.counts().delivered, 1);
}

#[test]
fn the_same_id_of_another_agent_is_another_request() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 4);
    bench.offer("T", "a");
    let other = Offer {
        key: Key::new("AGENT_REPLY_2", "a"),
        topic: "T".into(),
        body: "other",
        bytes: 1,
    };
    let acts = bench.act(|queue, now, out| queue.offer(now, other, out));
    assert!(matches!(
        acts.as_slice(),
        [Action::Deliver { body: "other", .. }]
    ));
}

#[test]
fn answers_are_forgotten_in_time_and_beyond_their_number() {
    let mut bench = Bench::new(|settings| settings.memory_count_max = 2);
    bench.join(1, "T", 4);
    for id in ["a", "b", "c"] {
        bench.offer("T", id);
        bench.answer(id, "ok");
    }
    assert_eq!(bench.offer("T", "a"), delivered(1, "a", 1));
    assert_eq!(bench.offer("T", "c"), replied("c", "ok"));
    bench.after(3 * MINUTE);
    assert_eq!(bench.offer("T", "c"), delivered(1, "c", 1));
}

#[test]
fn a_second_answer_is_dropped_and_counted() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    bench.answer("a", "first");
    assert_eq!(bench.answer("a", "second"), vec![]);
    assert_eq!(bench.queue.counts().late, 1);
    assert_eq!(bench.answer("never", "asked"), vec![]);
    assert_eq!(bench.queue.counts().unknown, 1);
}

#[test]
fn a_dead_workers_requests_go_to_another_and_only_so_often() {
    let mut bench = Bench::new(|settings| settings.attempts_max = 2);
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    assert_eq!(bench.leave(1), vec![]);
    assert_eq!(bench.join(2, "T", 1), delivered(2, "a", 2));
    assert_eq!(
        *refusal(&bench.leave(2)),
        Refusal::WorkersLost { attempts: 2 }
    );
}

#[test]
fn what_a_dead_worker_had_comes_before_what_waits() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    bench.offer("T", "b");
    bench.leave(1);
    assert_eq!(bench.join(2, "T", 1), delivered(2, "a", 2));
}

#[test]
fn a_stopped_worker_that_answers_after_all_answers_first_or_not_at_all() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    bench.leave(1);
    bench.join(2, "T", 1);
    assert_eq!(
        bench.answer("a", "from the first"),
        replied("a", "from the first")
    );
    assert_eq!(bench.answer("a", "from the second"), vec![]);
    assert_eq!(bench.queue.counts().late, 1);
}

#[test]
fn a_draining_worker_gets_nothing_new_but_may_answer() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 2);
    bench.offer("T", "a");
    bench.queue.drain(1);
    assert_eq!(bench.offer("T", "b"), vec![]);
    assert_eq!(bench.answer("a", "ok"), replied("a", "ok"));
    assert_eq!(bench.leave(1), vec![]);
    assert_eq!(bench.join(2, "T", 1), delivered(2, "b", 1));
}

#[test]
fn what_is_handed_back_costs_no_attempt() {
    let mut bench = Bench::new(|settings| settings.attempts_max = 1);
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    // Nor does it come back to the one that has room again.
    let acts = bench.act(|queue, now, out| queue.hand_back(now, 1, &key("a"), out));
    assert_eq!(acts, vec![]);
    assert_eq!(bench.join(2, "T", 1), delivered(2, "a", 1));
}

#[test]
fn a_silent_worker_loses_its_request_and_keeps_the_slot_taken() {
    let mut bench = Bench::new(|settings| settings.lease = MINUTE);
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    assert_eq!(bench.after(MINUTE), vec![]);
    assert_eq!(bench.join(2, "T", 2), delivered(2, "a", 2));
    bench.offer("T", "b");
    assert_eq!(bench.offer("T", "c"), vec![], "both workers are full");
    // The silent one speaks: its slot is free again, and so is the other one's.
    let mut then = replied("a", "late but first");
    then.extend(delivered(2, "c", 1));
    let acts = bench.answer("a", "late but first");
    assert_eq!(acts[0], then[0]);
    assert!(matches!(acts[1], Action::Deliver { .. }));
    assert!(matches!(
        bench.offer("T", "d")[..],
        [Action::Deliver { .. }]
    ));
}

#[test]
fn progress_extends_the_lease_of_a_running_request() {
    let mut bench = Bench::new(|settings| settings.lease = MINUTE);
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    bench.after(MINUTE / 2);
    assert!(bench.queue.progress(bench.now, &key("a")));
    assert!(bench.after(MINUTE * 3 / 4).is_empty());
    assert_eq!(bench.queue.counts().handed_on, 0);
    bench.answer("a", "ok");
    assert!(!bench.queue.progress(bench.now, &key("a")));
}

#[test]
fn one_slow_request_does_not_delay_others_while_a_worker_is_idle() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 1);
    bench.join(2, "T", 1);
    bench.offer("T", "slow");
    for id in ["a", "b", "c"] {
        assert_eq!(bench.offer("T", id), delivered(2, id, 1));
        bench.answer(id, "ok");
    }
}

#[test]
fn closing_refuses_what_waits_and_lets_what_runs_be_answered() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    bench.offer("T", "b");
    let acts = bench.act(|queue, now, out| queue.close(now, out));
    assert_eq!(*refusal(&acts), Refusal::Stopping);
    assert_eq!(*refusal(&bench.offer("T", "c")), Refusal::Stopping);
    assert_eq!(bench.queue.unanswered(), 1);
    assert_eq!(bench.answer("a", "ok"), replied("a", "ok"));
}

#[test]
fn requests_that_nobody_takes_leave_half_of_the_room_to_those_that_somebody_does() {
    let mut bench = Bench::new(|settings| settings.bytes_max = 40);
    bench.join(1, "T", 1);
    assert_eq!(bench.offer("NOBODY", "a"), vec![]);
    assert_eq!(bench.offer("NOBODY", "b"), vec![]);
    assert!(matches!(
        bench.offer("NOBODY", "c")[..],
        [Action::Refuse {
            refusal: Refusal::Busy { .. },
            ..
        }]
    ));
    assert_eq!(bench.offer("T", "d"), delivered(1, "d", 1));
}

#[test]
fn an_answer_to_a_predecessors_request_is_passed_on_once() {
    let mut bench = Bench::new(|_| ());
    bench.now = Duration::from_secs(1);
    assert_eq!(bench.answer("a", "ok"), replied("a", "ok"));
    assert_eq!(bench.answer("a", "ok"), vec![]);
}

#[test]
fn gauges_say_depth_age_and_load_of_each_topic() {
    let mut bench = Bench::new(|_| ());
    bench.join(1, "T", 1);
    bench.offer("T", "a");
    bench.offer("T", "b");
    bench.after(Duration::from_secs(5));
    bench.offer("T", "c");
    let gauges: Vec<_> = bench.queue.gauges(bench.now).collect();
    assert_eq!(
        gauges,
        [TopicGauge {
            topic: "T".into(),
            waiting: 2,
            oldest: Duration::from_secs(5),
            running: 1,
            workers: 1,
        }]
    );
}
