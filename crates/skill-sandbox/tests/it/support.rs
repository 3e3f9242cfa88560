//! Each test runs as root and as an ordinary user, with namespaces and where they are refused.
//!
//! A test starts its own binary again as the user in question; that process then is the caller
//! whose secrets and neighbours are to be kept safe. Where this host itself refuses namespaces,
//! the tests hold the degraded level to its promises, and say so.
#![allow(unsafe_code, clippy::print_stderr)]

use std::ffi::OsString;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use skill_format::Explain;
use skill_sandbox::{Job, Level, Outcome, Protection, Sandbox, Settings};
use tempfile::TempDir;

/// This test binary is its own launcher, as every program with a sandbox is. Its `main` belongs to
/// the test harness, so it looks before that.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn serve() {
        skill_sandbox::serve_if_launcher();
    }
    serve
};

/// Who calls, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Root,
    Ordinary,
    RootWithoutNamespaces,
    OrdinaryWithoutNamespaces,
}

/// In a test's own process: tells it who it is.
const INSIDE: &str = "SANDBOX_TEST_CALLER";
/// A secret that every caller has in its environment.
pub const SECRET: &str = "parent-secret-8c1f";
const NOBODY: u32 = 65534;

/// Declares one test per caller.
macro_rules! contained {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        mod $name {
            use crate::support::{self, Caller};

            fn run(name: &str, caller: Caller) {
                let path = concat!(module_path!(), "::");
                let (_, path) = path.split_once("::").expect("a crate");
                support::run(&format!("{path}{name}"), caller, super::$name);
            }

            #[test]
            fn as_root() {
                run("as_root", Caller::Root);
            }

            #[test]
            fn as_ordinary_user() {
                run("as_ordinary_user", Caller::Ordinary);
            }

            #[test]
            fn as_root_without_namespaces() {
                run("as_root_without_namespaces", Caller::RootWithoutNamespaces);
            }

            #[test]
            fn as_ordinary_user_without_namespaces() {
                run("as_ordinary_user_without_namespaces", Caller::OrdinaryWithoutNamespaces);
            }
        }
    };
}
pub(crate) use contained;

/// A caller with its sandbox and a skill.
pub struct Scene {
    pub sandbox: Sandbox,
    pub level: Level,
    /// Belongs to the caller; every user may enter and read it.
    pub folder: TempDir,
    pub skill: PathBuf,
}

/// Runs `body` as the caller, in a process of its own.
pub fn run<F: Future<Output = ()>>(test: &str, caller: Caller, body: impl FnOnce(Scene) -> F) {
    if std::env::var_os(INSIDE).is_some() {
        return inside(caller, body);
    }
    let is_root = nix::unistd::Uid::effective().is_root();
    if !is_root && matches!(caller, Caller::Root | Caller::RootWithoutNamespaces) {
        eprintln!("not root: tested as the ordinary user that this is");
    }
    let mut command = again(test);
    if is_root && matches!(caller, Caller::Ordinary | Caller::OrdinaryWithoutNamespaces) {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output();
    let output = if is_root
        && output
            .as_ref()
            .is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
    {
        eprintln!("no other user exists in this namespace: tested as the only one");
        again(test).output()
    } else {
        output
    };
    let output = output.expect("this test binary starts again");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    eprintln!("{text}");
    assert!(output.status.success(), "{test} failed as {caller:?}");
    assert!(text.contains("1 passed"), "{test} was not found");
}

/// This test in a process of its own.
fn again(test: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .env("SANDBOX_TEST_SECRET", SECRET)
        .env_remove("TMPDIR")
        .env_remove("RUST_BACKTRACE")
        .current_dir("/");
    command
}

fn inside<F: Future<Output = ()>>(caller: Caller, body: impl FnOnce(Scene) -> F) {
    let refused = matches!(
        caller,
        Caller::RootWithoutNamespaces | Caller::OrdinaryWithoutNamespaces
    );
    if refused {
        refuse_namespaces();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tested = async {
        let scene = Scene::new(settings()).await;
        eprintln!(
            "level: {:?}, {:?}",
            scene.level,
            scene.sandbox.protections()
        );
        if refused {
            assert_eq!(scene.level, Level::Degraded);
        } else if scene.level == Level::Degraded {
            assert!(
                !host_has_namespaces(),
                "the host has namespaces, but the sandbox does without"
            );
        }
        body(scene).await;
    };
    let in_time =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), tested).await });
    in_time.expect("the test ends within a minute");
}

/// As on a host that forbids them: `unshare` fails with `EPERM` from here on.
fn refuse_namespaces() {
    refuse(libc::SYS_unshare);
}

/// As on a host that forbids this system call: it fails with `EPERM` in this process from here on,
/// and in what it starts.
pub fn refuse(call: libc::c_long) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let rules = [(call, Vec::new())].into();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let arch = std::env::consts::ARCH
        .try_into()
        .expect("a known architecture");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter_all_threads(&program).expect("the filter applies");
}

/// Asks another program than ours.
fn host_has_namespaces() -> bool {
    Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--pid",
            "--net",
            "--fork",
            "--mount-proc",
            "true",
        ])
        .status()
        .is_ok_and(|status| status.success())
}

/// What tests use: everything that this host can enforce.
pub fn settings() -> Settings {
    Settings {
        slots: 2,
        allow_degraded: true,
        ..Settings::default()
    }
}

impl Scene {
    pub async fn new(settings: Settings) -> Self {
        Self::new_in("/var/tmp", settings).await
    }

    /// With its folder in another place. In `/tmp` it lies where jobs have their scratch folder.
    pub async fn new_in(parent: &str, settings: Settings) -> Self {
        let folder = tempfile::tempdir_in(parent).expect("a folder");
        open_to_all(folder.path());
        let skill = folder.path().join("skill");
        std::fs::create_dir(&skill).expect("a skill");
        std::fs::write(skill.join("SKILL.md"), "a skill").expect("a file");
        let sandbox = Sandbox::start(settings).await.expect("a sandbox");
        let level = sandbox.protections().level();
        Self {
            sandbox,
            level,
            folder,
            skill,
        }
    }

    /// Whether every descendant is found. Where not, a run that leaves one says so as an error.
    pub async fn leaves_none(&self, job: Job) -> Option<Outcome> {
        if self.sandbox.protections().has(Protection::Descendants) {
            return Some(self.run(job).await);
        }
        let error = self
            .sandbox
            .run(job)
            .await
            .expect_err("some cannot be found");
        assert_eq!(error.code(), "sandbox-launcher-lost");
        assert!(error.to_string().contains("cannot be found"), "{error}");
        None
    }

    pub fn is_full(&self) -> bool {
        self.level == Level::Full
    }

    /// A job with a shell script.
    pub fn sh(&self, script: &str) -> Job {
        self.job("/bin/sh", &["-c", script])
    }

    /// A job with a Python script (the system's, which needs nothing but /usr).
    pub fn py(&self, script: &str) -> Job {
        self.job("/usr/bin/python3", &["-I", "-c", script])
    }

    pub fn job(&self, program: &str, args: &[&str]) -> Job {
        let mut job = Job::new(program, &self.skill);
        job.args = args.iter().map(OsString::from).collect();
        job.environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
        job
    }

    pub async fn run(&self, job: Job) -> Outcome {
        let outcome = self.sandbox.run(job).await.expect("the job runs");
        eprintln!(
            "{:?} after {:?}\nstdout: {}\nstderr: {}",
            outcome.ended,
            outcome.duration,
            text(&outcome.stdout.bytes),
            text(&outcome.stderr.bytes)
        );
        outcome
    }

    /// A file of the caller's beside the skill that every user may read and write.
    pub fn neighbour(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("its mode");
        path
    }

    /// A folder of the caller's beside the skill that every user may write.
    pub fn neighbour_folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).expect("its mode");
        path
    }
}

pub fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("its mode");
}

pub fn text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(2000)];
    String::from_utf8_lossy(shown).into_owned()
}

/// A word for the command lines of one test's jobs; the same test runs for other callers meanwhile.
pub fn marker(name: &str) -> String {
    format!("{name}-{}-marker", std::process::id())
}

/// This process in the numbers of /proc, which may be another process namespace's.
pub fn own_number() -> i32 {
    let own = std::fs::read_link("/proc/self").expect("/proc");
    own.to_str()
        .and_then(|own| own.parse().ok())
        .expect("a number")
}

/// Processes of the host whose command line contains `marker`.
pub fn processes_with(marker: &str) -> Vec<i32> {
    // In the numbers of /proc, which may be another process namespace's.
    let own = std::fs::read_link("/proc/self").expect("/proc");
    let own: i32 = own
        .to_str()
        .and_then(|own| own.parse().ok())
        .expect("a number");
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &i32| *number != own)
        .filter(|number| {
            let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(marker)
        })
        .collect()
}

/// Waits until `done`, and fails when that takes too long.
pub async fn eventually(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what} did not happen"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
