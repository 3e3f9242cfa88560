//! What a job cannot use up.

use std::time::{Duration, Instant};

use skill_sandbox::{Ended, MemoryBound, Protection};

use crate::support::{Scene, contained, marker, processes_with, text};

const MIB: u64 = 1024 * 1024;

contained!(a_full_scratch_folder_stays_within_its_bytes);
async fn a_full_scratch_folder_stays_within_its_bytes(scene: Scene) {
    let mut job = scene.sh("head -c 30000000 /dev/zero > $TMPDIR/a; head -c 30000000 /dev/zero > $TMPDIR/b; cat $TMPDIR/? | wc -c");
    job.limits.scratch_bytes = 8 * MIB;
    job.limits.file_bytes = 16 * MIB;
    let outcome = scene.run(job).await;
    let written: u64 = text(&outcome.stdout.bytes)
        .trim()
        .parse()
        .expect("a number");
    if scene.is_full() {
        assert_eq!(written, 8 * MIB);
    } else {
        assert!(!outcome.protections.has(Protection::ScratchQuota));
        assert_eq!(written, 2 * 16 * MIB, "each file is bounded all the same");
    }
}

contained!(a_scratch_folder_stays_within_its_files);
async fn a_scratch_folder_stays_within_its_files(scene: Scene) {
    let mut job = scene.py("
import os
made = 0
try:
    for made in range(3000):
        open(os.environ['TMPDIR'] + f'/{made}', 'w').close()
except OSError as error:
    print(error.errno)
print(made)
");
    job.limits.scratch_files = 500;
    let outcome = scene.run(job).await;
    let seen = text(&outcome.stdout.bytes);
    if scene.is_full() {
        let (errno, made) = seen.trim().split_once('\n').expect("refused");
        assert_eq!(errno, libc::ENOSPC.to_string());
        assert!(
            (490..=520).contains(&made.parse().expect("a number")),
            "{made}"
        );
    } else {
        assert!(!outcome.protections.has(Protection::ScratchQuota));
        assert_eq!(seen, "2999\n");
    }
    let after = scene
        .run(scene.sh("echo x > $TMPDIR/x && cat $TMPDIR/x"))
        .await;
    assert_eq!(
        text(&after.stdout.bytes),
        "x\n",
        "the next job has it all again"
    );
}

contained!(a_process_cannot_allocate_more_than_its_memory);
async fn a_process_cannot_allocate_more_than_its_memory(scene: Scene) {
    let mut job = scene.py("
try:
    x = bytearray(400_000_000)
    print('got it')
except MemoryError:
    print('refused')
");
    job.limits.memory_bytes = 128 * MIB;
    let outcome = scene.run(job).await;
    assert!(!text(&outcome.stdout.bytes).contains("got it"));
    // The control: with enough of it the same program gets it.
    let mut job = scene.py("x = bytearray(400_000_000)\nprint('got it')");
    job.limits.memory_bytes = 1024 * MIB;
    let outcome = scene.run(job).await;
    assert_eq!(text(&outcome.stdout.bytes), "got it\n");
}

contained!(shared_memory_counts_as_well);
async fn shared_memory_counts_as_well(scene: Scene) {
    let mut job = scene.py("
import mmap, time
held = []
for _ in range(64):
    piece = mmap.mmap(-1, 16 << 20)
    for page in range(0, 16 << 20, 4096):
        piece[page] = 1
    held.append(piece)
print('got it')
time.sleep(60)
");
    job.limits.memory_bytes = 128 * MIB;
    job.limits.wall = Duration::from_secs(10);
    let outcome = scene.run(job).await;
    let expected = match outcome.protections.memory {
        MemoryBound::Cgroup | MemoryBound::Watched => Ended::MemoryLimit,
        MemoryBound::PerProcess => Ended::TimedOut,
    };
    assert_eq!(outcome.ended, expected);
    assert_eq!(
        scene.run(scene.sh("exit 3")).await.ended,
        Ended::Exited(3),
        "the next job runs"
    );
}

contained!(many_processes_together_stay_within_the_memory);
async fn many_processes_together_stay_within_the_memory(scene: Scene) {
    let mut job = scene.py("
import os, time
for _ in range(16):
    if os.fork() == 0:
        x = bytearray(60_000_000)
        time.sleep(60)
time.sleep(60)
");
    job.limits.memory_bytes = 200 * MIB;
    let outcome = scene.run(job).await;
    // A cgroup kills one process after the other; the first one may be left to time out.
    let expected = [Ended::MemoryLimit, Ended::TimedOut];
    assert!(expected.contains(&outcome.ended), "{:?}", outcome.ended);
}

contained!(a_fork_bomb_is_bounded_and_ended);
async fn a_fork_bomb_is_bounded_and_ended(scene: Scene) {
    // Nothing bounds root: the bomb must not even start as root.
    let probe = scene.run(scene.py("import os; print(os.getuid())")).await;
    assert_ne!(text(&probe.stdout.bytes), "0\n");
    let mut job = scene.py("
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
most = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
        most += 1
except OSError:
    print(most, flush=True)
# And one that goes on.
while True:
    try:
        os.fork()
    except OSError:
        pass
");
    let marker = marker("bomb");
    job.args.push(marker.clone().into());
    job.limits.processes = 32;
    job.limits.wall = Duration::from_millis(1500);
    job.limits.grace = Duration::from_millis(100);
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::TimedOut);
    let most: u64 = text(&outcome.stdout.bytes)
        .lines()
        .next()
        .expect("a line")
        .parse()
        .expect("a number");
    // Without a namespace the kernel counts the user's other processes too, which come and go.
    let bound = if scene.is_full() { 32 } else { 500 };
    assert!((1..=bound).contains(&most), "{most}");
    assert!(outcome.leftover_processes > 0);
    assert!(processes_with(&marker).is_empty());
}

contained!(too_much_output_ends_the_job);
async fn too_much_output_ends_the_job(scene: Scene) {
    for (script, is_stdout) in [("exec yes", true), ("exec yes >&2", false)] {
        let mut job = scene.sh(script);
        job.limits.output_bytes = 100_000;
        let began = Instant::now();
        let outcome = scene.run(job).await;
        assert_eq!(outcome.ended, Ended::OutputLimit);
        let output = if is_stdout {
            &outcome.stdout
        } else {
            &outcome.stderr
        };
        assert_eq!(output.bytes.len(), 100_000);
        assert!(output.is_truncated());
        // What is read at once is a pipe full: nothing is read on after that.
        assert!(output.total <= 100_000 + 64 * 1024, "{}", output.total);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

contained!(output_up_to_the_limit_is_whole_on_both_streams);
async fn output_up_to_the_limit_is_whole_on_both_streams(scene: Scene) {
    // More than a pipe holds on both: whoever drains one after the other would hang.
    let mut job = scene
        .sh("head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2");
    job.limits.output_bytes = 500_000;
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(
        (outcome.stdout.total, outcome.stderr.total),
        (300_000, 500_000)
    );
    assert_eq!(outcome.stderr.bytes.len(), 500_000);
}

contained!(a_busy_loop_ends_with_its_processor_time);
async fn a_busy_loop_ends_with_its_processor_time(scene: Scene) {
    for script in ["while :; do :; done", "trap '' XCPU; while :; do :; done"] {
        let mut job = scene.sh(script);
        job.limits.cpu_seconds = 1;
        let outcome = scene.run(job).await;
        assert_eq!(outcome.ended, Ended::CpuLimit, "{script}");
        assert!(
            outcome.cpu >= Duration::from_millis(700),
            "{:?}",
            outcome.cpu
        );
    }
}

contained!(open_files_and_core_dumps_are_bounded);
async fn open_files_and_core_dumps_are_bounded(scene: Scene) {
    let mut job = scene
        .sh("ulimit -n; ulimit -Hn; ulimit -c; ulimit -n 1000 2>/dev/null && echo raised; true");
    job.limits.open_files = 40;
    let outcome = scene.run(job).await;
    assert_eq!(text(&outcome.stdout.bytes), "40\n40\n0\n");
}
