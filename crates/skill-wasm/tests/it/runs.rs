//! What goes in and comes out, and how runs end.

use std::sync::mpsc;
use std::time::Duration;

use skill_wasm::{Ended, Stop, Stream};

use crate::support::{job, module, module_with, run};

#[test]
fn a_large_input_comes_back_byte_for_byte() {
    let echo = module("(call $copy (i32.const 0))");
    let mut job = job();
    job.stdin = (0..3_000_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(5_000_000)
        .collect();
    let expected = job.stdin.clone();
    let outcome = run(&echo, job);
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert!(outcome.stdout == expected);
}

#[test]
fn input_can_be_read_again_from_its_beginning() {
    let twice = module(
        "(call $copy (i32.const 0))
         (call $check (call $fd_seek (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 16)))
         (call $copy (i32.const 0))",
    );
    let mut job = job();
    job.stdin = b"ab".to_vec();
    assert_eq!(run(&twice, job).stdout, b"abab");
}

#[test]
fn an_exit_code_comes_back_with_both_outputs() {
    let failing = module_with(
        r#"(data (i32.const 1024) "outoops")"#,
        "(call $write (i32.const 1) (i32.const 1024) (i32.const 3))
         (call $write (i32.const 2) (i32.const 1027) (i32.const 4))
         (call $exit (i32.const 7))
         unreachable",
    );
    let outcome = run(&failing, job());
    assert_eq!(outcome.ended, Ended::Exited(7));
    assert_eq!(
        (&*outcome.stdout, &*outcome.stderr),
        (&b"out"[..], &b"oops"[..])
    );
}

#[test]
fn runs_of_one_module_see_nothing_of_each_other() {
    let counting = module(
        "(i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (i32.const 1)))
         (call $exit (i32.load (i32.const 1024)))",
    );
    for _ in 0..3 {
        assert_eq!(run(&counting, job()).ended, Ended::Exited(1));
    }
}

#[test]
fn arguments_and_variables_are_those_of_the_job_and_no_others() {
    let listing = module(
        "(call $check (call $args_sizes_get (i32.const 16) (i32.const 20)))
         (call $check (call $args_get (i32.const 1024) (i32.const 2048)))
         (call $write (i32.const 1) (i32.const 2048) (i32.load (i32.const 20)))
         (call $check (call $environ_sizes_get (i32.const 16) (i32.const 20)))
         (call $check (call $environ_get (i32.const 1024) (i32.const 2048)))
         (call $write (i32.const 1) (i32.const 2048) (i32.load (i32.const 20)))",
    );
    let mut job = job();
    job.arguments = vec!["run.wasm".to_owned(), "-v".to_owned()];
    job.environment = vec![("REGION".to_owned(), b"north=1".to_vec())];
    assert_eq!(run(&listing, job).stdout, b"run.wasm\0-v\0REGION=north=1\0");
}

#[test]
fn time_and_random_bytes_come_from_the_caller() {
    let asking = module(
        "(call $check (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 1024)))
         (call $check (call $random_get (i32.const 1032) (i32.const 2)))
         (call $write (i32.const 1) (i32.const 1024) (i32.const 10))",
    );
    let mut expected = 60_000_000_000_u64.to_le_bytes().to_vec();
    expected.extend([7, 7]);
    assert_eq!(run(&asking, job()).stdout, expected);
}

#[test]
fn a_trap_is_told() {
    let outcome = run(&module("unreachable"), job());
    assert!(matches!(&outcome.ended, Ended::Trapped(why) if why.contains("unreachable")));
    let outcome = run(&module("(drop (i32.load (i32.const -8)))"), job());
    assert!(matches!(&outcome.ended, Ended::Trapped(why) if why.contains("out of bounds")));
    let endless = module_with("(func $deeper (call $deeper))", "(call $deeper)");
    let outcome = run(&endless, job());
    assert!(matches!(&outcome.ended, Ended::Trapped(why) if why.contains("stack")));
}

#[test]
fn an_endless_loop_ends_with_its_time() {
    let mut short = job();
    short.limits.wall = Duration::from_millis(50);
    let outcome = run(&module("(loop $again (br $again))"), short);
    assert_eq!(outcome.ended, Ended::TimedOut);
    assert!(outcome.duration >= Duration::from_millis(50));
}

#[test]
fn a_long_sleep_ends_with_its_time() {
    let mut short = job();
    short.limits.wall = Duration::from_millis(50);
    let outcome = run(&sleeping(), short);
    assert_eq!(outcome.ended, Ended::TimedOut);
}

/// Says so, and sleeps for a day.
fn sleeping() -> skill_wasm::Module {
    module(
        "(call $write (i32.const 1) (i32.const 1024) (i32.const 1))
         (i64.store (i32.const 1048) (i64.const 86400000000000))
         (call $check (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 16)))",
    )
}

#[test]
fn a_short_sleep_passes_and_is_told() {
    let short = module(
        "(i64.store (i32.const 1024) (i64.const 77))
         (i64.store (i32.const 1048) (i64.const 1000))
         (call $check (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 16)))
         (if (i64.ne (i64.load (i32.const 2048)) (i64.const 77)) (then (call $exit (i32.const 98))))
         (call $exit (i32.load (i32.const 16)))",
    );
    assert_eq!(run(&short, job()).ended, Ended::Exited(1));
}

#[test]
fn a_run_is_stopped_while_it_computes_and_while_it_sleeps() {
    let computing = module(
        "(call $write (i32.const 1) (i32.const 1024) (i32.const 1)) (loop $again (br $again))",
    );
    for module in [computing, sleeping()] {
        let (sender, began) = mpsc::channel();
        let mut job = job();
        job.progress = Some(Box::new(move |stream, _| {
            assert_eq!(stream, Stream::Stdout);
            let _ = sender.send(());
        }));
        let stop = Stop::new();
        let outcome = std::thread::scope(|scope| {
            let running = scope.spawn(|| module.run(job, &stop));
            began.recv().expect("it begins");
            stop.stop();
            running.join().expect("no panic")
        });
        assert_eq!(outcome.ended, Ended::Stopped);
    }
}

#[test]
fn output_without_end_is_ended_and_kept_to_its_limit() {
    let flood = module(
        "(loop $again (call $write (i32.const 1) (i32.const 1024) (i32.const 60000)) (br $again))",
    );
    let mut job = job();
    job.limits.output_bytes = 1_000_000;
    let outcome = run(&flood, job);
    assert_eq!(outcome.ended, Ended::OutputLimit);
    assert_eq!(outcome.stdout.len(), 1_000_000);
}

#[test]
fn memory_beyond_the_limit_is_refused_and_whoever_gives_up_over_it_is_told() {
    let asking = "(if (i32.eq (memory.grow (i32.const 32)) (i32.const -1))";
    let mut small = job();
    small.limits.memory_bytes = 1024 * 1024;
    let giving_up = module(&format!("{asking} (then unreachable))"));
    assert_eq!(run(&giving_up, small).ended, Ended::MemoryLimit);
    assert_eq!(run(&giving_up, job()).ended, Ended::Exited(0));

    let mut small = job();
    small.limits.memory_bytes = 1024 * 1024;
    let coping = module(&format!("{asking} (then (call $exit (i32.const 3))))"));
    assert_eq!(run(&coping, small).ended, Ended::Exited(3));
}
