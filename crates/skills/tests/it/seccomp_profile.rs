//! The seccomp profile that containers of workers get, `deploy/seccomp-worker.json`, applied to a process as a
//! container engine would: as an ordinary user without capabilities, who cannot gain any.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde_json::Value;

use crate::support::Sandbox;

const NOBODY: u32 = 65534;
const EPERM: u32 = 1;
/// What the sandbox's launcher needs beyond Docker's default profile.
const ADDED: [&str; 6] = [
    "mount",
    "mount_setattr",
    "pivot_root",
    "sethostname",
    "umount2",
    "unshare",
];
/// Of kernels that are newer than some machines' headers. Engines pass over names that they do not know.
const NEWER: &[&str] = &[
    "cachestat",
    "fchmodat2",
    "futex_requeue",
    "futex_wait",
    "futex_wake",
    "getxattrat",
    "listmount",
    "listxattrat",
    "map_shadow_stack",
    "mseal",
    "removexattrat",
    "setxattrat",
    "statmount",
    "uretprobe",
];
/// Of one architecture only.
const ELSEWHERE: &[&str] = &[
    "access",
    "alarm",
    "arch_prctl",
    "chmod",
    "chown",
    "creat",
    "dup2",
    "epoll_create",
    "epoll_ctl_old",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "fork",
    "futimesat",
    "get_thread_area",
    "getdents",
    "getpgrp",
    "getrlimit",
    "inotify_init",
    "lchown",
    "link",
    "lstat",
    "mkdir",
    "mknod",
    "open",
    "pause",
    "pipe",
    "poll",
    "readlink",
    "rename",
    "rmdir",
    "select",
    "set_thread_area",
    "setrlimit",
    "signalfd",
    "stat",
    "symlink",
    "time",
    "unlink",
    "utime",
    "utimes",
    "vfork",
];
/// Nothing of a worker needs these, and each has been a way out of a container.
const NEVER: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "chroot",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "move_mount",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount",
    "userfaultfd",
    "vhangup",
];

fn profile() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/seccomp-worker.json");
    let text = std::fs::read_to_string(path).expect("the profile");
    serde_json::from_str(&text).expect("JSON")
}

fn names(entry: &Value) -> impl Iterator<Item = &str> {
    let names = entry["names"].as_array().expect("names");
    names.iter().map(|name| name.as_str().expect("a name"))
}

/// The numbers of this machine's system calls, from the kernel's header, which compilers of C need.
fn numbers() -> BTreeMap<String, i64> {
    let folder = format!("/usr/include/{}-linux-gnu/asm", std::env::consts::ARCH);
    let headers = [
        format!("{folder}/unistd_64.h"),
        "/usr/include/asm-generic/unistd.h".into(),
    ];
    let text = headers
        .iter()
        .find_map(|header| std::fs::read_to_string(header).ok())
        .expect("the kernel's headers: apt-get install linux-libc-dev");
    let defined = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("#define __NR")?.split_whitespace();
        let name = words.next()?.trim_start_matches("3264").strip_prefix('_')?;
        Some((name.to_owned(), words.next()?.parse().ok()?))
    });
    defined.collect()
}

fn condition(argument: &Value) -> SeccompCondition {
    let number = |field: &str| argument[field].as_u64().expect("a number");
    let index = u8::try_from(number("index")).expect("small");
    let (operator, value) = match argument["op"].as_str().expect("an operator") {
        "SCMP_CMP_EQ" => (SeccompCmpOp::Eq, number("value")),
        "SCMP_CMP_MASKED_EQ" => (SeccompCmpOp::MaskedEq(number("value")), number("valueTwo")),
        other => panic!("{other} is not understood here"),
    };
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value).expect("a condition")
}

/// The profile as the kernel takes it, without these calls. An engine makes one filter of it; here it is two,
/// since a filter of this library has one answer: what is allowed, and what is answered otherwise.
fn filters(without: &[&str]) -> Vec<BpfProgram> {
    let numbers = numbers();
    let profile = profile();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut answered = Vec::new();
    for entry in profile["syscalls"].as_array().expect("entries") {
        for name in names(entry).filter(|name| !without.contains(name)) {
            let Some(number) = numbers.get(name) else {
                continue;
            };
            let rules = allowed.entry(*number).or_default();
            if entry["action"] == "SCMP_ACT_ERRNO" {
                let errno = entry["errnoRet"].as_u64().expect("a number");
                answered.push((*number, u32::try_from(errno).expect("small")));
            } else if let Some(arguments) = entry["args"].as_array() {
                let conditions = arguments.iter().map(condition).collect();
                rules.push(SeccompRule::new(conditions).expect("a rule"));
            }
        }
    }
    let arch = std::env::consts::ARCH.try_into().expect("an architecture");
    let mut programs = Vec::new();
    for (number, errno) in answered {
        let rules = BTreeMap::from([(number, Vec::new())]);
        let (pass, answer) = (SeccompAction::Allow, SeccompAction::Errno(errno));
        let filter = SeccompFilter::new(rules, pass, answer, arch).expect("a filter");
        programs.push(filter.try_into().expect("a program"));
    }
    let (refuse, pass) = (SeccompAction::Errno(EPERM), SeccompAction::Allow);
    let filter = SeccompFilter::new(allowed, refuse, pass, arch).expect("a filter");
    programs.push(filter.try_into().expect("a program"));
    programs
}

/// Runs a skill of this text with the whole sandbox behind these filters. Exit code, output, complaints.
fn run_behind(filters: &[BpfProgram], script: &str) -> (i32, String, String) {
    let sandbox = Sandbox::new();
    sandbox.skill("tells");
    sandbox.write("tells/scripts/run.sh", script);
    let root = sandbox.home().parent().expect("a parent").to_owned();
    hand_over(&root);
    // By its descriptor: the folder that it was built in may be closed to other users.
    let program = File::open(env!("CARGO_BIN_EXE_skills")).expect("the program");
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        .args(["run", "./tells", "x", "--sandbox", "full"])
        .current_dir(sandbox.project())
        .env_clear()
        .env("HOME", sandbox.home())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // Of this thread, and so of what it starts: filters are inherited, and cannot be taken off again.
    let ran = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            for filter in filters {
                seccompiler::apply_filter(filter).expect("the kernel takes it");
            }
            command.output().expect("the program starts")
        });
        thread.join().expect("it ran")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        ran.status.code().unwrap_or(-1),
        text(&ran.stdout),
        text(&ran.stderr),
    )
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

fn hand_over(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("it is ours");
        if path.is_dir() {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours");
            for entry in std::fs::read_dir(path).expect("a folder").flatten() {
                hand_over(&entry.path());
            }
        }
    }
}

const TELLS: &str = "hostname; id -u; ls -d /proc/1; cat; unshare -r true || echo contained\n";

#[test]
fn behind_the_profile_the_whole_sandbox_holds() {
    let (code, said, complained) = run_behind(&filters(&[]), TELLS);
    assert_eq!(code, 0, "{said}{complained}");
    assert!(said.starts_with("sandbox\n"), "{said}{complained}");
    assert!(said.ends_with("xcontained\n"), "{said}{complained}");
    assert!(!complained.contains("does not enforce"), "{complained}");
}

#[test]
fn without_any_of_the_added_calls_the_sandbox_is_refused_and_the_host_is_named() {
    for missing in ADDED {
        let (code, said, complained) = run_behind(&filters(&[missing]), TELLS);
        assert_ne!(code, 0, "{missing} is not needed: {said}");
        assert!(said.is_empty(), "{missing}: the skill ran: {said}");
        assert!(complained.contains("sandbox"), "{missing}: {complained}");
    }
}

#[test]
fn the_profile_names_known_calls_once_and_none_that_leads_out() {
    let profile = profile();
    let numbers = numbers();
    let mut without_conditions = BTreeSet::new();
    let mut all = BTreeSet::new();
    for entry in profile["syscalls"].as_array().expect("entries") {
        for name in names(entry) {
            let is_known =
                numbers.contains_key(name) || NEWER.contains(&name) || ELSEWHERE.contains(&name);
            assert!(is_known, "{name} is no system call");
            assert!(!NEVER.contains(&name), "{name} leads out of a container");
            assert!(
                !without_conditions.contains(name),
                "{name} is allowed twice, so that its conditions mean nothing"
            );
            all.insert(name.to_owned());
            if entry["args"].is_null() {
                without_conditions.insert(name.to_owned());
            }
        }
    }
    for name in ADDED {
        assert!(all.contains(name), "{name} is missing");
    }
    // Threads and processes, but no namespaces: those are made by `unshare` alone, and not of time.
    for conditional in ["clone", "unshare", "socket", "personality"] {
        assert!(
            !without_conditions.contains(conditional),
            "{conditional} has no condition"
        );
    }
}
