//! System calls that only escapes need.

use skill_sandbox::Ended;

use crate::support::{Scene, contained, text};

/// Calls `syscall` with each number and prints those that were not refused.
fn script(calls: &[(&str, i64, &str)]) -> String {
    let calls: String = calls
        .iter()
        .map(|(name, number, args)| format!("    ('{name}', {number}, ({args})),\n"))
        .collect();
    format!(
        "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
page = ctypes.create_string_buffer(4096)
p = ctypes.addressof(page)
null = 0
for name, number, args in [
{calls}]:
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in args])
    print(name, result, ctypes.get_errno())
"
    )
}

contained!(kernel_interfaces_of_escapes_are_refused);
async fn kernel_interfaces_of_escapes_are_refused(scene: Scene) {
    let refused = [
        ("unshare user", libc::SYS_unshare, "0x10000000,"),
        ("unshare mount", libc::SYS_unshare, "0x00020000,"),
        ("clone user", libc::SYS_clone, "0x10000011, 0, 0, 0, 0"),
        ("clone net", libc::SYS_clone, "0x40000011, 0, 0, 0, 0"),
        ("setns", libc::SYS_setns, "0, 0"),
        ("mount", libc::SYS_mount, "0, p, 0, 0, 0"),
        ("umount", libc::SYS_umount2, "p, 2"),
        ("pivot_root", libc::SYS_pivot_root, "p, p"),
        ("chroot", libc::SYS_chroot, "p,"),
        ("open_tree", libc::SYS_open_tree, "-100, p, 1"),
        ("fsopen", libc::SYS_fsopen, "p, 0"),
        (
            "mount_setattr",
            libc::SYS_mount_setattr,
            "-100, p, 0, p, 32",
        ),
        ("keyctl", libc::SYS_keyctl, "0, -3, 1"),
        ("add_key", libc::SYS_add_key, "p, p, p, 1, -3"),
        ("request_key", libc::SYS_request_key, "p, p, 0, -3"),
        ("bpf", libc::SYS_bpf, "0, p, 48"),
        (
            "perf_event_open",
            libc::SYS_perf_event_open,
            "p, 0, -1, -1, 0",
        ),
        ("io_uring_setup", libc::SYS_io_uring_setup, "1, p"),
        ("userfaultfd", libc::SYS_userfaultfd, "1,"),
        ("ptrace", libc::SYS_ptrace, "0, 0, 0, 0"),
        (
            "process_vm_writev",
            libc::SYS_process_vm_writev,
            "1, p, 1, p, 1, 0",
        ),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, "0, 0, 0"),
        ("kexec_load", libc::SYS_kexec_load, "0, 0, 0, 0"),
        ("init_module", libc::SYS_init_module, "p, 1, p"),
        ("reboot", libc::SYS_reboot, "0, 0, 0, 0"),
        ("swapon", libc::SYS_swapon, "p, 0"),
        ("settimeofday", libc::SYS_settimeofday, "p, 0"),
        ("sethostname", libc::SYS_sethostname, "p, 1"),
        ("syslog", libc::SYS_syslog, "3, p, 10"),
        (
            "open_by_handle_at",
            libc::SYS_open_by_handle_at,
            "-100, p, 0",
        ),
        ("fanotify_init", libc::SYS_fanotify_init, "0, 0"),
        ("prlimit64 of another", libc::SYS_prlimit64, "1, 7, 0, p"),
        ("setpriority of another", libc::SYS_setpriority, "0, 1, 19"),
        ("setpriority of all", libc::SYS_setpriority, "2, 0, 19"),
        ("typing into a terminal", libc::SYS_ioctl, "0, 0x5412, p"),
    ];
    let absent = [
        ("clone3", libc::SYS_clone3, "p, 88"),
        ("memfd_create", libc::SYS_memfd_create, "p, 0"),
        ("shmget", libc::SYS_shmget, "0, 4096, 0o1600"),
        ("semget", libc::SYS_semget, "0, 1, 0o1600"),
        ("msgget", libc::SYS_msgget, "0, 0o1600"),
        ("mq_open", libc::SYS_mq_open, "p, 0o102, 0o600, 0"),
        #[cfg(target_arch = "x86_64")]
        (
            "mount by its x32 number",
            0x4000_0000 | libc::SYS_mount,
            "0, p, 0, 0, 0",
        ),
        #[cfg(target_arch = "x86_64")]
        (
            "getpid by its x32 number",
            0x4000_0000 | libc::SYS_getpid,
            "",
        ),
    ];
    for (calls, errno) in [(&refused[..], libc::EPERM), (&absent[..], libc::ENOSYS)] {
        let outcome = scene.run(scene.py(&script(calls))).await;
        assert_eq!(outcome.ended, Ended::Exited(0));
        let expected: String = calls
            .iter()
            .map(|(name, ..)| format!("{name} -1 {errno}\n"))
            .collect();
        assert_eq!(String::from_utf8_lossy(&outcome.stdout.bytes), expected);
    }
}

contained!(system_calls_of_another_architecture_end_the_process);
async fn system_calls_of_another_architecture_end_the_process(scene: Scene) {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    // `int 0x80` with the 32-bit number of getpid; page 7 = read, write, execute.
    let script = "
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
call = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
print('returned', call())
";
    let outcome = scene.run(scene.py(script)).await;
    assert!(
        matches!(outcome.ended, Ended::Signaled(_)),
        "{:?}",
        outcome.ended
    );
    assert_eq!(text(&outcome.stdout.bytes), "");
}

contained!(no_privilege_is_left_and_none_can_be_gained);
async fn no_privilege_is_left_and_none_can_be_gained(scene: Scene) {
    let script = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print('no_new_privs', libc.prctl(39, 0, 0, 0, 0))
print('capabilities', sum(libc.prctl(47, 1, cap, 0, 0) for cap in range(41)))
if os.getuid() != 0:
    try:
        os.setuid(0)
        print('root')
    except OSError: pass
try:
    os.mknod(os.environ['TMPDIR'] + '/disk', 0o60666, os.makedev(8, 0))
    print('device')
except OSError: pass
print('uid', os.getuid())
";
    let outcome = scene.run(scene.py(script)).await;
    let uid = outcome.protections.uid;
    assert_ne!(uid, 0, "a job is never root");
    assert_eq!(
        text(&outcome.stdout.bytes),
        format!("no_new_privs 1\ncapabilities 0\nuid {uid}\n")
    );
}
