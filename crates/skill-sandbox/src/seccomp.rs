//! The system calls that no skill needs and every escape does.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Which sockets a job may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// The internet, and Unix sockets in the job's own file tree.
    Network,
    /// The internet only: without a file tree of its own a job could reach the host's services
    /// through their socket files.
    Internet,
    /// Unix sockets only.
    Local,
    /// None but connected pairs.
    None,
}

/// Refused with `EPERM`: introspection of other processes, kernel interfaces with a long history
/// of holes, mounts and namespaces, keys, clocks, and asynchronous I/O that passes filters by.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_ioprio_set,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    // `open_tree_attr`, which has this number everywhere.
    467,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Changes of a file's mode, owner and attributes, which Landlock does not know. Refused where a job
/// is the caller's own user and sees the caller's own files.
const ATTRIBUTES: &[libc::c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fremovexattr,
    libc::SYS_fsetxattr,
    libc::SYS_lremovexattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_setxattr,
    libc::SYS_utimensat,
    // `setxattrat`, `removexattrat` and `file_setattr`, which have these numbers everywhere.
    463,
    466,
    469,
];

#[cfg(target_arch = "x86_64")]
const ATTRIBUTES_HERE: &[libc::c_long] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_futimesat,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
];
#[cfg(not(target_arch = "x86_64"))]
const ATTRIBUTES_HERE: &[libc::c_long] = &[];

/// Answered with `ENOSYS`, so that programs take the way they take on kernels without them.
const ABSENT: &[libc::c_long] = &[
    // Hides its flags behind a pointer that a filter cannot read; libraries fall back to `clone`.
    libc::SYS_clone3,
    // Memory that is in no process and no quota.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    // Objects that outlive their makers, and with them the job.
    libc::SYS_mq_open,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_shmget,
];

/// Calls whose first argument, where it is not 0, names another process, such as the launcher.
/// (`prlimit64` on the launcher would limit the next job.)
const ON_SELF_ONLY: &[libc::c_long] = &[
    libc::SYS_prlimit64,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
];

/// Namespaces that `clone` may not make.
const NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters of a job; all apply. `attributes`: whether it may change those of files.
pub fn filters(sockets: Sockets, attributes: bool) -> Result<Vec<BpfProgram>, String> {
    let always = |calls: &[libc::c_long]| -> Rules {
        calls.iter().map(|call| (*call, Vec::new())).collect()
    };
    let mut refused = always(REFUSED);
    refused.append(&mut always(REFUSED_HERE));
    if !attributes {
        refused.append(&mut always(ATTRIBUTES));
        refused.append(&mut always(ATTRIBUTES_HERE));
    }
    let bits = (0..64).map(|shift| 1u64 << shift);
    let namespaces = bits
        .filter(|bit| NAMESPACES & bit != 0)
        .map(|bit| rule(&[(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bit), bit)]))
        .collect::<Result<_, _>>()?;
    refused.insert(libc::SYS_clone, namespaces);
    for call in ON_SELF_ONLY {
        refused.insert(*call, vec![differs(0, 0)?]);
    }
    refused.insert(
        libc::SYS_setpriority,
        vec![differs(0, libc::PRIO_PROCESS.into())?, differs(1, 0)?],
    );
    // Typing into the terminal of whoever started us.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX]
        .map(|request| rule(&[(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)]));
    refused.insert(
        libc::SYS_ioctl,
        typing.into_iter().collect::<Result<_, _>>()?,
    );
    let family = |family: i32| (0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64);
    // Netlink is how libraries list interfaces and addresses.
    const INTERNET: [i32; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let mut allowed = match sockets {
        Sockets::Network | Sockets::Internet => INTERNET.map(family).to_vec(),
        Sockets::Local | Sockets::None => Vec::new(),
    };
    if matches!(sockets, Sockets::Network | Sockets::Local) {
        allowed.push(family(libc::AF_UNIX));
    }
    // A rule without conditions would be refused: the call is then refused as a whole.
    let rules = if allowed.is_empty() {
        Vec::new()
    } else {
        vec![rule(&allowed)?]
    };
    refused.insert(libc::SYS_socket, rules);
    let mut filters = vec![
        compile(refused, libc::EPERM)?,
        compile(always(ABSENT), libc::ENOSYS)?,
    ];
    filters.extend(other_numbers());
    Ok(filters)
}

type Condition = (u8, SeccompCmpArgLen, SeccompCmpOp, u64);

/// Matches where all conditions do.
fn rule(conditions: &[Condition]) -> Result<SeccompRule, String> {
    conditions
        .iter()
        .map(|(argument, length, operator, value)| {
            SeccompCondition::new(*argument, length.clone(), operator.clone(), *value)
        })
        .collect::<Result<_, _>>()
        .and_then(SeccompRule::new)
        .map_err(|error| error.to_string())
}

fn differs(argument: u8, value: u64) -> Result<SeccompRule, String> {
    rule(&[(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)])
}

/// Another architecture's calls end the process: seccompiler begins each filter with that.
fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        arch,
    )
    .and_then(BpfProgram::try_from)
    .map_err(|error| error.to_string())
}

/// On x86-64 every call has a second number (the x32 ABI, bit 30) under the same architecture,
/// which a list of refused numbers would let through.
#[cfg(target_arch = "x86_64")]
fn other_numbers() -> Option<BpfProgram> {
    const X32_BIT: u32 = 0x4000_0000;
    let instruction = |code: u32, jump_false: u8, value: u32| seccompiler::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump_false,
        k: value,
    };
    Some(vec![
        // The call's number is the first word of `struct seccomp_data`.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32_BIT),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> Option<BpfProgram> {
    None
}
