//! Nobody else is hurt, and nobody stays.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use skill_sandbox::Ended;

use crate::support::{Scene, contained, eventually, marker, own_number, processes_with, text};

/// A process of the caller's, such as another worker.
struct Bystander(Child);

impl Bystander {
    fn start() -> Self {
        Self(
            Command::new("/bin/sleep")
                .arg("600")
                .spawn()
                .expect("sleep starts"),
        )
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("its state").is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

contained!(signals_do_not_reach_processes_outside);
async fn signals_do_not_reach_processes_outside(scene: Scene) {
    let mut bystander = Bystander::start();
    let script = format!(
        "for p in {bystander} {own} $PPID 1; do for s in TERM KILL STOP; do kill -$s $p && echo sent $s $p >&2; done; done; echo alive",
        bystander = bystander.0.id(),
        own = std::process::id(),
    );
    let outcome = scene.run(scene.sh(&script)).await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(text(&outcome.stdout.bytes), "alive\n");
    assert!(bystander.is_alive());
    let everybody = "import os, signal\nsignal.signal(15, signal.SIG_IGN)\ntry:\n    os.kill(-1, 15)\nexcept OSError: pass\nprint('alive')";
    if scene.is_full() {
        scene.run(scene.py(everybody)).await;
        assert!(bystander.is_alive());
    }
    let after = scene.run(scene.sh("echo next")).await;
    assert_eq!(
        text(&after.stdout.bytes),
        "next\n",
        "its launcher is alive as well"
    );
}

contained!(processes_outside_cannot_be_traced_or_read);
async fn processes_outside_cannot_be_traced_or_read(scene: Scene) {
    let bystander = Bystander::start();
    let script = format!(
        "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(16)
class IoVec(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
vec = IoVec(ctypes.addressof(buffer), 16)
for pid in ({}, {}, os.getppid(), 1):
    for request in (16, 0x4206):
        ctypes.set_errno(0)
        if libc.ptrace(request, pid, 0, 0) == 0: print('traced', pid)
    if libc.process_vm_readv(pid, ctypes.byref(vec), 1, ctypes.byref(vec), 1, 0) > 0: print('read', pid)
    try:
        open(f'/proc/{{pid}}/mem', 'rb').close()
        print('opened', pid)
    except OSError: pass
print('done')
",
        bystander.0.id(),
        std::process::id()
    );
    let outcome = scene.run(scene.py(&script)).await;
    assert_eq!(text(&outcome.stdout.bytes), "done\n");
}

contained!(daemons_do_not_outlive_the_job);
async fn daemons_do_not_outlive_the_job(scene: Scene) {
    let marker = marker("daemon");
    // Forked twice, in a session and group of its own, deaf to everything that can be ignored.
    let job = scene.py("
import os, signal, sys
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
go, went = os.pipe()
if os.fork() == 0:
    os.setsid()
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            os.execv('/bin/sh', ['sh', '-c', f'echo up >&{went}; while :; do sleep 100; done # MARKER'])
    os._exit(0)
" .trim_start());
    let job = {
        let mut job = job;
        // Waits until all three are up, so that there is something to end.
        let script = job
            .args
            .pop()
            .expect("a script")
            .into_string()
            .expect("text");
        let script = script
            .replace("MARKER", &marker)
            .replace("os.execv", "os.set_inheritable(went, True); os.execv")
            + "seen = b''\nwhile seen.count(b'up') < 3: seen += os.read(go, 100)\nprint('main ends')\n";
        job.args.push(script.into());
        job
    };
    let Some(outcome) = scene.leaves_none(job).await else {
        return;
    };
    assert_eq!(text(&outcome.stdout.bytes), "main ends\n");
    assert!(
        outcome.leftover_processes >= 3,
        "{}",
        outcome.leftover_processes
    );
    // Without waiting: they are gone when the run has returned.
    assert!(processes_with(&marker).is_empty());
}

contained!(a_time_out_ends_grandchildren_too);
async fn a_time_out_ends_grandchildren_too(scene: Scene) {
    let marker = marker("family");
    let mut job = scene.sh(&format!(
        "sh -c 'sh -c \"sleep 600; : grandchild {marker}\" & sleep 600; : child {marker}'; : leader {marker}"
    ));
    job.limits.wall = Duration::from_millis(300);
    let began = Instant::now();
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::TimedOut);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "they obey SIGTERM: {:?}",
        began.elapsed()
    );
    assert!(processes_with(&marker).is_empty());
}

contained!(a_time_out_lets_the_job_finish_its_words_but_not_go_on);
async fn a_time_out_lets_the_job_finish_its_words_but_not_go_on(scene: Scene) {
    let mut job = scene.sh("trap 'echo bye; exit 0' TERM; while :; do sleep 0.01; done");
    job.limits.wall = Duration::from_millis(200);
    job.limits.grace = Duration::from_secs(20);
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::TimedOut);
    assert_eq!(text(&outcome.stdout.bytes), "bye\n");

    let mut job = scene.sh("trap '' TERM; while :; do :; done");
    job.limits.wall = Duration::from_millis(200);
    job.limits.grace = Duration::from_millis(200);
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::TimedOut);
    assert!(outcome.duration >= Duration::from_millis(400));
    assert!(
        outcome.duration < Duration::from_secs(10),
        "{:?}",
        outcome.duration
    );
}

contained!(a_pipe_that_a_grandchild_holds_delays_nobody);
async fn a_pipe_that_a_grandchild_holds_delays_nobody(scene: Scene) {
    let outcome = scene.run(scene.sh("sleep 600 & echo started")).await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(text(&outcome.stdout.bytes), "started\n");
    assert_eq!(outcome.leftover_processes, 1);
    assert!(
        outcome.duration < Duration::from_secs(10),
        "{:?}",
        outcome.duration
    );
}

contained!(dropping_the_run_ends_the_job);
async fn dropping_the_run_ends_the_job(scene: Scene) {
    let (progress, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let marker = marker("dropped");
    let mut job = scene.sh(&format!(
        "trap '' TERM INT HUP; echo up; while :; do sleep 100; done # {marker}"
    ));
    job.progress = Some(progress);
    tokio::select! {
        _ = scene.run(job) => panic!("it ended by itself"),
        first = heard.recv() => assert_eq!(first.expect("a word").bytes, b"up\n"),
    }
    eventually("the end of the job", || processes_with(&marker).is_empty()).await;
    assert_eq!(
        scene.run(scene.sh("exit 7")).await.ended,
        Ended::Exited(7),
        "its slot is free again"
    );
}

contained!(dropping_the_sandbox_leaves_no_launcher);
async fn dropping_the_sandbox_leaves_no_launcher(scene: Scene) {
    scene.run(scene.sh("true")).await;
    let own = own_number() as u32;
    let launchers = || {
        let children = processes_with("__skill-sandbox-launcher");
        children
            .into_iter()
            .filter(|child| parents(*child).contains(&own))
            .count()
    };
    assert!(launchers() > 0);
    drop(scene);
    eventually("the end of the launchers", || launchers() == 0).await;
}

fn parents(mut process: i32) -> Vec<u32> {
    let mut found = Vec::new();
    while process > 1 {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let parent = status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        process = parent.unwrap_or(0);
        found.push(process as u32);
    }
    found
}
