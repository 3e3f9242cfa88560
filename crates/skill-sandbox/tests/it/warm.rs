//! Python scripts from a warm interpreter: the same answers, the same walls.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use skill_format::Explain;
use skill_sandbox::{Ended, Job, Outcome};

use crate::support::{
    SECRET, Scene, contained, eventually, marker, own_number, processes_with, text,
};

const PYTHON: &str = "/usr/bin/python3";

impl Scene {
    fn script(&self, name: &str, source: &str) -> PathBuf {
        let path = self.skill.join(name);
        std::fs::write(&path, source).expect("a script");
        path
    }

    fn warm(&self, source: &str, args: &[&str]) -> Job {
        self.script("script.py", source);
        self.warm_again(args)
    }

    /// The script that is there.
    fn warm_again(&self, args: &[&str]) -> Job {
        let path = self.skill.join("script.py");
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
        "import os, sys; print([stream.seekable() for stream in (sys.stdin, sys.stdout, sys.stderr)], sys.stdin.tell(), os.lseek(0, 0, os.SEEK_CUR))",
        "import os, threading; print(threading.main_thread().native_id == os.getpid(), threading.active_count())",
        "x = 1 is 1\nprint('\\d')",
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
        ("PYTHONOPTIMIZE", "2"),
        ("PYTHONUTF8", "0"),
        ("LC_ALL", "POSIX"),
        ("PYTHONHASHSEED", "3"),
    ] {
        let script = "import sys; print(sys.flags.optimize, sys.flags.utf8_mode, sys.stdout.encoding, sys.flags.hash_randomization)";
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

contained!(what_makes_an_interpreter_run_other_code_is_not_kept_warm);
async fn what_makes_an_interpreter_run_other_code_is_not_kept_warm(scene: Scene) {
    let modules = scene.skill.join("modules");
    std::fs::create_dir(&modules).expect("a folder");
    let source = "import builtins, os; builtins.customized_by = os.getpid()";
    std::fs::write(modules.join("usercustomize.py"), source).expect("a module");
    std::fs::write(modules.join("sitecustomize.py"), source).expect("a module");
    let script = "import builtins, os; print(builtins.customized_by == os.getpid())";
    for _ in 0..2 {
        let mut job = scene.warm(script, &[]);
        let path = modules.clone().into_os_string();
        job.environment.push(("PYTHONPATH".into(), path));
        let outcome = scene.run(job).await;
        assert_eq!(text(&outcome.stdout.bytes), "True\n");
        assert!(!outcome.warm);
    }
}

/// As long as a script has to lie unchanged until it is compiled ahead, and a little longer.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1200)).await;
}

contained!(a_script_that_is_compiled_ahead_answers_as_ever);
async fn a_script_that_is_compiled_ahead_answers_as_ever(scene: Scene) {
    let source = "
import sys
x = 1 is 1
print(sys._getframe().f_code.co_filename == __file__, '\\d', __name__)
def f(): raise ValueError(sys.argv[1])
f()
";
    let mut cold = scene.warm(source, &["a"]);
    cold.warm_python = false;
    let cold = scene.run(cold).await;
    settle().await;
    for _ in 0..3 {
        let warm = scene.run_warm(scene.warm_again(&["a"])).await;
        assert_eq!(warm.ended, cold.ended);
        assert_eq!(text(&warm.stdout.bytes), text(&cold.stdout.bytes));
        assert_eq!(text(&warm.stderr.bytes), text(&cold.stderr.bytes));
    }
}

contained!(a_script_that_changes_is_never_run_as_it_was);
async fn a_script_that_changes_is_never_run_as_it_was(scene: Scene) {
    let of = |word: &str| format!("# {}\nprint('{word}')\n", " ".repeat(20));
    for word in ["one", "two"] {
        scene.script("script.py", &of(word));
        settle().await;
        for _ in 0..3 {
            let outcome = scene.run_warm(scene.warm_again(&[])).await;
            assert_eq!(text(&outcome.stdout.bytes), format!("{word}\n"));
        }
    }
    // And while it is used, by a file in its place and in place.
    for word in ["six", "ten"] {
        let other = scene.script("other.py", &of(word));
        std::fs::rename(other, scene.skill.join("script.py")).expect("renamed");
        let outcome = scene.run_warm(scene.warm_again(&[])).await;
        assert_eq!(text(&outcome.stdout.bytes), format!("{word}\n"));
    }
    for word in ["red", "sky"] {
        scene.script("script.py", &of(word));
        let outcome = scene.run_warm(scene.warm_again(&[])).await;
        assert_eq!(text(&outcome.stdout.bytes), format!("{word}\n"));
    }
}

contained!(a_job_that_may_write_its_script_cannot_hide_that_it_did);
async fn a_job_that_may_write_its_script_cannot_hide_that_it_did(scene: Scene) {
    let folder = scene.neighbour_folder("writable");
    let path = folder.join("script.py");
    let source = "
import os, sys
source = open(__file__).read()
before = os.stat(__file__)
with open(__file__, 'r+') as file: file.write(source.replace('WORD = 1', 'WORD = 2'))
# Only its owner may, and not at the degraded level.
try: os.utime(__file__, ns=(before.st_atime_ns, before.st_mtime_ns))
except PermissionError: pass
WORD = 1
print(WORD)
";
    std::fs::write(&path, source).expect("a script");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("its mode");
    let job = |scene: &Scene| {
        let mut job = scene.job(PYTHON, &[path.to_str().expect("text")]);
        job.warm_python = true;
        job.grants.write = vec![folder.clone()];
        job
    };
    settle().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let outcome = scene.run_warm(job(&scene)).await;
        seen.push(text(&outcome.stdout.bytes));
    }
    assert_eq!(seen, ["1\n", "2\n", "2\n"]);
}

contained!(modules_beside_a_script_come_before_the_standard_library);
async fn modules_beside_a_script_come_before_the_standard_library(scene: Scene) {
    let source = "import helper, csv, json, argparse, struct\nprint(helper.VALUE, 'reader' in dir(csv), getattr(struct, 'OWN', None), json.dumps(1), getattr(argparse, 'OWN', None))";
    scene.script("helper.py", "import csv, shutil\nVALUE = csv.__name__");
    let answers = async |scene: &Scene, expected: &str| {
        settle().await;
        for _ in 0..3 {
            let outcome = scene.run_warm(scene.warm_again(&[])).await;
            assert_eq!(text(&outcome.stderr.bytes), "");
            assert_eq!(text(&outcome.stdout.bytes), expected);
        }
    };
    scene.script("script.py", source);
    answers(&scene, "csv True None 1 None\n").await;
    // Said whenever it is imported, by whoever imports it.
    scene.script(
        "argparse.py",
        "import os\nOWN = 'own'\nprint(os.getpid() == os.getsid(0), end=' ')",
    );
    answers(&scene, "True csv True None 1 own\n").await;
    std::fs::remove_file(scene.skill.join("argparse.py")).expect("removed");
    scene.script(
        "struct.py",
        "from _struct import *\nfrom _struct import _clearcache\nOWN = 2",
    );
    answers(&scene, "csv True 2 1 None\n").await;
}

contained!(no_other_job_lives_beside_a_warm_script);
async fn no_other_job_lives_beside_a_warm_script(scene: Scene) {
    let script = "import os\nprint(sorted(map(int, filter(str.isdigit, os.listdir('/proc')))) == sorted((1, os.getppid(), os.getpid())) if os.getppid() else '')";
    for _ in 0..3 {
        let outcome = scene.run_warm(scene.warm(script, &[])).await;
        if outcome.warm {
            assert_eq!(text(&outcome.stdout.bytes), "True\n");
        }
    }
}

contained!(a_child_that_dies_before_its_job_is_replaced);
async fn a_child_that_dies_before_its_job_is_replaced(scene: Scene) {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut job = scene.warm("import sys; print(sys.stdin.read())", &[]);
        job.stdin = b"the first".to_vec();
        scene.run_warm(job.clone()).await;
        if !scene.is_full() {
            return;
        }
        // The one that waits is the interpreter's child, which has no other.
        eventually("a child that waits", || last_descendant().is_some()).await;
        let waiting = last_descendant().expect("a child");
        nix::sys::signal::kill(Pid::from_raw(waiting), signal).expect("ended");
        job.stdin = b"the second".to_vec();
        let outcome = scene.run(job.clone()).await;
        assert_eq!(text(&outcome.stdout.bytes), "the second\n");
        assert_eq!(outcome.ended, Ended::Exited(0));
        job.stdin = b"the third".to_vec();
        let outcome = scene.run_warm(job).await;
        assert_eq!(text(&outcome.stdout.bytes), "the third\n");
    }
}

/// The end of the line of children: launcher, its inner process, interpreter, the child that waits.
fn last_descendant() -> Option<i32> {
    const DEPTH: usize = 4;
    let child_of = |parent: i32| -> Option<i32> {
        let entries = std::fs::read_dir("/proc").ok()?;
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut children = numbers.filter(|number: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{number}/status"));
            let status = status.unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            line.and_then(|parent| parent.trim().parse().ok()) == Some(parent)
        });
        children.next()
    };
    (0..DEPTH).try_fold(own_number(), |parent, _| child_of(parent))
}

contained!(a_warm_script_leaves_nothing_to_the_next);
async fn a_warm_script_leaves_nothing_to_the_next(scene: Scene) {
    let script = "
import builtins, json, os, random, sys
print(hasattr(json, 'stain'), hasattr(builtins, 'stain'), 'stain' in sys.modules, 'stain' in os.environ, os.listdir(os.environ['TMPDIR']))
print(random.random(), file=sys.stderr)
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
    // What the job leaves goes on until it is ended.
    let script = "
import os, signal
interpreter = os.getppid()
if os.fork() == 0:
    while True:
        try: os.kill(interpreter, signal.SIGSTOP)
        except PermissionError: break
    os._exit(0)
print('stopped')
";
    // Who does that may lose its own answer, but nobody else's.
    match scene.sandbox.run(scene.warm(script, &[])).await {
        Ok(outcome) => assert_eq!(text(&outcome.stdout.bytes), "stopped\n"),
        Err(error) => assert_eq!(error.code(), "sandbox-launcher-lost"),
    }
    let next = scene.run_warm(scene.warm("print('next')", &[])).await;
    assert_eq!(text(&next.stdout.bytes), "next\n");
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
