//! Python scripts from a warm interpreter: the same answers, the same walls.

use std::path::PathBuf;
use std::time::Duration;

use skill_sandbox::{Ended, Job, Outcome};

use crate::support::{SECRET, Scene, contained, marker, processes_with, text};

const PYTHON: &str = "/usr/bin/python3";

impl Scene {
    fn script(&self, name: &str, source: &str) -> PathBuf {
        let path = self.skill.join(name);
        std::fs::write(&path, source).expect("a script");
        path
    }

    fn warm(&self, source: &str, args: &[&str]) -> Job {
        let path = self.script("script.py", source);
        let mut all = vec![path.to_str().expect("text")];
        all.extend(args);
        let mut job = self.job(PYTHON, &all);
        job.warm_python = true;
        job
    }

    /// Runs it, and holds that it was warm wherever that is promised.
    async fn run_warm(&self, job: Job) -> Outcome {
        let outcome = self.run(job).await;
        assert_eq!(outcome.warm, self.is_full() && outcome.protections.proc);
        outcome
    }
}

contained!(a_warm_script_answers_as_a_cold_one);
async fn a_warm_script_answers_as_a_cold_one(scene: Scene) {
    scene.script("helper.py", "VALUE = 'from a module beside the script'");
    let scripts = [
        "import sys, os, helper; print(sys.argv, __name__, helper.VALUE, sorted(os.environ)); print(sys.stdin.read())",
        "import sys; print(__file__, sys.path[0], sys.executable, sys.flags, sys.orig_argv)",
        "import os; print(os.getcwd(), os.getpid() == os.getpgrp() == os.getsid(0), os.listdir('.'))",
        "import sys; print(sys.stdin.encoding, sys.stdout.errors, sys.stderr.errors, sys.stdout.line_buffering, sys.stdout.isatty())",
        "import resource as r; print([r.getrlimit(l) for l in (r.RLIMIT_CPU, r.RLIMIT_DATA, r.RLIMIT_NOFILE, r.RLIMIT_FSIZE, r.RLIMIT_CORE)])",
        "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.write('\\u00e9\\ud800\\n')",
        "import sys; sys.exit()",
        "import sys; sys.exit(7)",
        "import sys; sys.exit('words')",
        "raise SystemExit(-1)",
        "def f():\n    1 / 0\nf()",
        "x = (",
        "import os; os.abort()",
        "raise KeyboardInterrupt",
        "import atexit, threading, time\natexit.register(print, 'at exit')\nthreading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\nprint('main')",
        "import subprocess; print(subprocess.run(['/bin/echo', 'child'], capture_output=True).stdout)",
        "import multiprocessing as m\nif __name__ == '__main__':\n    with m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, 2]))",
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__module__)",
        "import signal; print([s for s in range(1, 65) if signal.getsignal(s) not in (None, signal.SIG_DFL)], signal.pthread_sigmask(0, []))",
        "import os; print([fd for fd in range(256) if os.path.exists(f'/proc/self/fd/{fd}')] if os.path.exists('/proc/self') else '')",
        "import os\nos.close(1)\nprint('lost')",
    ];
    for script in scripts {
        let job = |warm: bool| {
            let mut job = scene.warm(script, &["a", "\u{e9}\n"]);
            job.environment.push(("X".into(), "1".into()));
            job.stdin = b"input \xff".to_vec();
            job.warm_python = warm;
            job
        };
        let cold = scene.run(job(false)).await;
        assert!(!cold.warm);
        let warm = scene.run_warm(job(true)).await;
        assert_eq!(warm.ended, cold.ended, "{script}");
        assert_eq!(
            text(&warm.stdout.bytes),
            text(&cold.stdout.bytes),
            "{script}"
        );
        assert_eq!(
            text(&warm.stderr.bytes),
            text(&cold.stderr.bytes),
            "{script}"
        );
    }
}

contained!(variables_that_python_reads_at_its_start_count);
async fn variables_that_python_reads_at_its_start_count(scene: Scene) {
    for (name, value) in [
        ("PYTHONPATH", "/nowhere"),
        ("PYTHONOPTIMIZE", "2"),
        ("PYTHONUTF8", "0"),
        ("LC_ALL", "POSIX"),
        ("PYTHONHASHSEED", "3"),
    ] {
        let script = "import sys; print('/nowhere' in sys.path, sys.flags.optimize, sys.flags.utf8_mode, sys.stdout.encoding, sys.flags.hash_randomization)";
        let job = |warm: bool| {
            let mut job = scene.warm(script, &[]);
            job.environment.push((name.into(), value.into()));
            job.warm_python = warm;
            job
        };
        let (cold, warm) = (scene.run(job(false)).await, scene.run_warm(job(true)).await);
        assert_eq!(
            text(&warm.stdout.bytes),
            text(&cold.stdout.bytes),
            "{name}={value}"
        );
    }
}

contained!(a_warm_script_leaves_nothing_to_the_next);
async fn a_warm_script_leaves_nothing_to_the_next(scene: Scene) {
    let script = "
import builtins, json, os, random, sys
print(hasattr(json, 'stain'), hasattr(builtins, 'stain'), 'stain' in sys.modules, 'stain' in os.environ, os.listdir(os.environ['TMPDIR']))
print(random.random(), os.getpid(), file=sys.stderr)
json.stain = builtins.stain = 1
sys.modules['stain'] = json
os.environ['stain'] = '1'
open(os.environ['TMPDIR'] + '/stain', 'w').close()
sys.path.append('/stain')
";
    let mut seen = Vec::new();
    for _ in 0..3 {
        let outcome = scene.run_warm(scene.warm(script, &[])).await;
        assert_eq!(text(&outcome.stdout.bytes), "False False False False []\n");
        seen.push(text(&outcome.stderr.bytes));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(
        seen.len(),
        3,
        "each is a process of its own with its own randomness: {seen:?}"
    );
}

contained!(a_warm_script_is_held_by_the_same_walls);
async fn a_warm_script_is_held_by_the_same_walls(scene: Scene) {
    let secret = scene.neighbour("secret", SECRET);
    let script = format!(
        "
import ctypes, os, socket, glob
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, action):
    try:
        if action() not in (-1, None): print('escaped:', what)
    except (OSError, PermissionError): pass
attempt('file', lambda: open({secret:?}).read())
attempt('shadow', lambda: open('/etc/shadow').read())
attempt('skill', lambda: open('SKILL.md', 'w'))
attempt('network', lambda: socket.socket(socket.AF_INET))
attempt('unshare', lambda: libc.unshare(0x10000000))
attempt('mount', lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))
for pid in {{1, os.getppid()}}:
    attempt('ptrace', lambda: libc.ptrace(16, pid, 0, 0))
    for name in ('environ', 'mem', 'maps'):
        attempt(name, lambda: open(f'/proc/{{pid}}/{{name}}', 'rb').read(1) or None)
    attempt('fd', lambda: os.listdir(f'/proc/{{pid}}/fd'))
    attempt('limits', lambda: libc.prlimit(pid, 7, (ctypes.c_long * 2)(0, 0), None))
for path in glob.glob('/proc/[0-9]*/environ'):
    try: assert {SECRET:?}.encode() not in open(path, 'rb').read()
    except OSError: pass
attempt('root', lambda: os.setuid(0))
print('capabilities', sum(libc.prctl(47, 1, cap, 0, 0) for cap in range(41)), libc.prctl(39, 0, 0, 0, 0))
"
    );
    let outcome = scene.run_warm(scene.warm(&script, &[])).await;
    assert_eq!(text(&outcome.stderr.bytes), "");
    assert_eq!(text(&outcome.stdout.bytes), "capabilities 0 1\n");
}

contained!(a_warm_script_is_held_by_its_limits);
async fn a_warm_script_is_held_by_its_limits(scene: Scene) {
    let mut job = scene.warm("while True: pass", &[]);
    job.limits.cpu_seconds = 1;
    let outcome = scene.run_warm(job).await;
    assert_eq!(outcome.ended, Ended::CpuLimit);
    assert!(
        outcome.cpu > Duration::from_millis(700),
        "{:?}",
        outcome.cpu
    );

    let mut job = scene.warm("import time\ntime.sleep(600)", &[]);
    job.limits.wall = Duration::from_millis(100);
    assert_eq!(scene.run_warm(job).await.ended, Ended::TimedOut);

    let mut job = scene.warm(
        "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nwhile True: time.sleep(600)",
        &[],
    );
    job.limits.wall = Duration::from_millis(100);
    job.limits.grace = Duration::from_millis(100);
    assert_eq!(scene.run_warm(job).await.ended, Ended::TimedOut);

    let mut job = scene.warm("bytearray(600_000_000)", &[]);
    job.limits.memory_bytes = 128 << 20;
    assert_ne!(scene.run_warm(job).await.ended, Ended::Exited(0));

    let mut job = scene.warm("print('x' * 1_000_000)", &[]);
    job.limits.output_bytes = 1000;
    assert_eq!(scene.run_warm(job).await.ended, Ended::OutputLimit);
    assert_eq!(
        scene.run_warm(scene.warm("print(1)", &[])).await.ended,
        Ended::Exited(0)
    );
}

contained!(daemons_of_a_warm_script_do_not_outlive_it);
async fn daemons_of_a_warm_script_do_not_outlive_it(scene: Scene) {
    let marker = marker("warm-daemon");
    let script = format!(
        "
import os, signal
for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
go, went = os.pipe()
os.set_inheritable(went, True)
if os.fork() == 0:
    os.setsid()
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            os.execv('/bin/sh', ['sh', '-c', f'echo up >&{{went}}; while :; do sleep 100; done # {marker}'])
    os._exit(0)
seen = b''
while seen.count(b'up') < 3: seen += os.read(go, 100)
"
    );
    for _ in 0..2 {
        let Some(outcome) = scene.leaves_none(scene.warm(&script, &[])).await else {
            return;
        };
        assert_eq!(outcome.ended, Ended::Exited(0));
        assert!(
            outcome.leftover_processes >= 3,
            "{}",
            outcome.leftover_processes
        );
        assert!(processes_with(&marker).is_empty());
    }
}

contained!(a_script_that_harms_the_warm_interpreter_harms_nobody_else);
async fn a_script_that_harms_the_warm_interpreter_harms_nobody_else(scene: Scene) {
    for signal in ["SIGKILL", "SIGSTOP", "SIGUSR1"] {
        // At the degraded level its parent is the launcher, which it cannot reach.
        let script = format!(
            "
import os, signal
try: os.kill(os.getppid(), signal.{signal})
except PermissionError: pass
print('harmed')
"
        );
        let outcome = scene.run_warm(scene.warm(&script, &[])).await;
        assert_eq!(text(&outcome.stdout.bytes), "harmed\n");
        assert_eq!(outcome.ended, Ended::Exited(0), "{signal}");
        let next = scene.run_warm(scene.warm("print('next')", &[])).await;
        assert_eq!(text(&next.stdout.bytes), "next\n");
    }
    let slow = "import os\nos.sched_setaffinity(os.getppid(), {0}) if os.getppid() else None";
    scene
        .run_warm(scene.warm(
            &format!(
                "try:\n    {}\nexcept OSError: pass",
                slow.replace('\n', "; ")
            ),
            &[],
        ))
        .await;
    let look = "import os\nprint(len(os.sched_getaffinity(0)))";
    let next = scene.run_warm(scene.warm(look, &[])).await;
    let all = std::thread::available_parallelism().expect("processors");
    assert_eq!(text(&next.stdout.bytes), format!("{all}\n"));
}

contained!(what_is_no_python_is_started_as_ever);
async fn what_is_no_python_is_started_as_ever(scene: Scene) {
    let path = scene.script("script.sh", "echo shell");
    let mut job = scene.job("/bin/sh", &[path.to_str().expect("text")]);
    job.warm_python = true;
    let outcome = scene.run(job).await;
    assert_eq!(text(&outcome.stdout.bytes), "shell\n");
    assert!(!outcome.warm);
    let mut job = scene.job(PYTHON, &["-c", "print('option')"]);
    job.warm_python = true;
    let outcome = scene.run(job).await;
    assert_eq!(text(&outcome.stdout.bytes), "option\n");
    assert!(!outcome.warm);
}
