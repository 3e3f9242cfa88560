//! What a job cannot see.

use std::os::fd::AsRawFd;

use skill_sandbox::Ended;

use crate::support::{SECRET, Scene, contained, settings, text};

contained!(files_outside_the_skill_cannot_be_read);
async fn files_outside_the_skill_cannot_be_read(scene: Scene) {
    let secret = scene.neighbour("secret", SECRET);
    let exe = std::env::current_exe().expect("a path");
    let script = format!(
        "cat SKILL.md; cat /etc/shadow; cat {secret}; cat ../secret; ls -A ..; ls {parent}; \
         ln -s {secret} $TMPDIR/link && cat $TMPDIR/link; ls /root /home /var /srv; head -c 1 {exe}",
        secret = secret.display(),
        parent = exe.parent().expect("a folder").display(),
        exe = exe.display(),
    );
    let outcome = scene.run(scene.sh(&script)).await;
    let seen = text(&outcome.stdout.bytes);
    // In a tree of its own the skill's parent is there, with nothing else in it.
    assert_eq!(seen.replace("skill\n", ""), "a skill");
    assert!(!text(&outcome.stderr.bytes).contains(SECRET));
}

contained!(the_parents_environment_cannot_be_read);
async fn the_parents_environment_cannot_be_read(scene: Scene) {
    assert!(
        std::env::vars().any(|(_, value)| value == SECRET),
        "the caller has a secret"
    );
    let own = std::process::id();
    let script = format!(
        "for p in 1 $PPID self {own} /proc/[0-9]*; do cat /proc/${{p#/proc/}}/environ; done; env"
    );
    let outcome = scene.run(scene.sh(&script)).await;
    assert!(!text(&outcome.stdout.bytes).contains(SECRET));
    // A positive control: with /proc, a job reads at least its own.
    if scene.is_full() && outcome.protections.proc {
        assert!(text(&outcome.stdout.bytes).contains("PATH=/usr/bin:/bin\0"));
    }
}

contained!(the_environment_is_exactly_what_was_given);
async fn the_environment_is_exactly_what_was_given(scene: Scene) {
    let mut job = scene.job("/usr/bin/env", &[]);
    job.environment = vec![("A".into(), "1".into()), ("B".into(), "two\nlines".into())];
    job.scratch_variables.clear();
    let outcome = scene.run(job).await;
    assert_eq!(text(&outcome.stdout.bytes), "A=1\nB=two\nlines\n");
}

contained!(descriptors_do_not_leak);
async fn descriptors_do_not_leak(scene: Scene) {
    let leaked = std::fs::File::open(scene.neighbour("secret", SECRET)).expect("a file");
    nix::fcntl::fcntl(
        &leaked,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .expect("not closed on exec");
    assert!(leaked.as_raw_fd() > 2);
    let script = "
import os
for fd in range(0, 256):
    try:
        os.fstat(fd)
        print(fd)
    except OSError:
        pass
";
    // The first launcher of this skill starts now, with the leak open.
    let outcome = scene.run(scene.py(script)).await;
    assert_eq!(text(&outcome.stdout.bytes), "0\n1\n2\n");
}

contained!(a_job_finds_nothing_of_the_one_before);
async fn a_job_finds_nothing_of_the_one_before(_: Scene) {
    for parent in ["/var/tmp", "/tmp"] {
        find_nothing(Scene::new_in(parent, settings()).await).await;
    }
}

async fn find_nothing(scene: Scene) {
    let write = "echo secret > $TMPDIR/file; mkdir -p $TMPDIR/a/b; chmod 0 $TMPDIR/a/b; mkdir -m 0 $TMPDIR/shut; mkdir $TMPDIR/half; echo 1 > $TMPDIR/half/x; chmod 0 $TMPDIR/half; ln -s / $TMPDIR/root";
    let look = "ls -A $TMPDIR";
    for round in 0..3 {
        let outcome = scene.run(scene.sh(look)).await;
        assert_eq!(outcome.ended, Ended::Exited(0));
        let seen = text(&outcome.stdout.bytes);
        // The folder that leads to a skill which lies below the scratch folder.
        let leads = scene
            .folder
            .path()
            .file_name()
            .expect("a name")
            .to_str()
            .expect("text");
        assert_eq!(seen.replace(&format!("{leads}\n"), ""), "", "round {round}");
        assert_eq!(scene.run(scene.sh(write)).await.ended, Ended::Exited(0));
    }
}

contained!(jobs_at_the_same_time_do_not_see_each_other);
async fn jobs_at_the_same_time_do_not_see_each_other(scene: Scene) {
    let meeting = scene.neighbour_folder("meeting");
    // Each waits until the other is there, through the one folder that both may write.
    let job = |own: &str, other: &str| {
        let mut job = scene.sh(&format!(
            "echo {own} > $TMPDIR/secret-{own}; : > {meeting}/{own}; \
             until [ -e {meeting}/{other} ]; do :; done; \
             ls $TMPDIR; [ -d /proc/self ] && cat /proc/[0-9]*/cmdline | tr '\\0' ' '; : > {meeting}/{own}-done; \
             until [ -e {meeting}/{other}-done ]; do :; done",
            meeting = meeting.display()
        ));
        job.grants.write = vec![meeting.clone()];
        job
    };
    let (first, second) = tokio::join!(scene.run(job("one", "two")), scene.run(job("two", "one")));
    assert_eq!(
        (first.ended, second.ended),
        (Ended::Exited(0), Ended::Exited(0))
    );
    assert!(text(&first.stdout.bytes).contains("secret-one"));
    assert!(!text(&first.stdout.bytes).contains("secret-two"));
    assert!(!text(&second.stdout.bytes).contains("secret-one"));
}

contained!(proc_leads_nowhere);
async fn proc_leads_nowhere(scene: Scene) {
    let secret = scene.neighbour("secret", SECRET);
    let script = format!(
        "for p in 1 $PPID {own}; do \
           cat /proc/$p/root{secret}; cat /proc/$p/cwd{secret}; ls /proc/$p/fd /proc/$p/fdinfo; \
           cat /proc/$p/maps; head -c 1 /proc/$p/mem; cat /proc/$p/stack; done; \
         cat /proc/self/root{secret} /proc/self/cwd/../secret; \
         cat /proc/kcore | head -c 1; echo b > /proc/sysrq-trigger; \
         echo /tmp/x > /proc/sys/kernel/core_pattern; echo 1 > /proc/self/oom_score_adj_x; \
         cat /proc/kmsg /dev/kmsg /dev/mem /dev/vda /dev/sda | head -c 1",
        own = std::process::id(),
        secret = secret.display(),
    );
    let outcome = scene.run(scene.sh(&script)).await;
    assert_eq!(text(&outcome.stdout.bytes), "");
}
