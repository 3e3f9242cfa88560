//! What a job cannot change.

use skill_sandbox::{Ended, SandboxError};

use crate::support::{Scene, contained, text};

contained!(nothing_outside_the_scratch_folder_can_be_written);
async fn nothing_outside_the_scratch_folder_can_be_written(scene: Scene) {
    let file = scene.neighbour("file", "before");
    let folder = scene.neighbour_folder("folder");
    let script = format!(
        "for target in SKILL.md new /new /usr/new /etc/new /dev/new /proc/new /var/tmp/new /dev/shm/../new \
           {file} {folder}/new ../new; do \
           (echo x > $target) 2>/dev/null && echo wrote $target; done; \
         rm -rf SKILL.md /usr/bin/env {file} {folder} 2>/dev/null; mv SKILL.md x 2>/dev/null && echo moved; \
         chmod 777 . 2>/dev/null && echo changed; ln {file} $TMPDIR/hard 2>/dev/null && echo linked; \
         echo x > $TMPDIR/scratch && cat $TMPDIR/scratch",
        file = file.display(),
        folder = folder.display(),
    );
    let outcome = scene.run(scene.sh(&script)).await;
    assert_eq!(text(&outcome.stdout.bytes), "x\n");
    assert_eq!(
        std::fs::read_to_string(&file).expect("still there"),
        "before"
    );
    assert!(folder.is_dir());
    assert!(!folder.join("new").exists());
    let skill: Vec<_> = std::fs::read_dir(&scene.skill)
        .expect("still there")
        .collect();
    assert_eq!(skill.len(), 1);
    assert!(std::path::Path::new("/usr/bin/env").exists());
}

contained!(links_lead_neither_a_job_nor_the_clean_up_outside);
async fn links_lead_neither_a_job_nor_the_clean_up_outside(scene: Scene) {
    let folder = scene.neighbour_folder("folder");
    let file = scene.neighbour("folder/file", "before");
    let script = format!(
        "ln -s {folder} $TMPDIR/out; ln -s {file} $TMPDIR/result; mkdir $TMPDIR/d; ln -s {folder} $TMPDIR/d/out; \
         (echo x > $TMPDIR/result) 2>/dev/null && echo wrote; (echo x > $TMPDIR/out/new) 2>/dev/null && echo wrote; \
         rm -f $TMPDIR/out/file 2>/dev/null; ls -A $TMPDIR | wc -l",
        folder = folder.display(),
        file = file.display(),
    );
    for _ in 0..2 {
        let outcome = scene.run(scene.sh(&script)).await;
        assert_eq!(outcome.ended, Ended::Exited(0));
        assert!(!text(&outcome.stdout.bytes).contains("wrote"));
    }
    assert_eq!(
        std::fs::read_to_string(&file).expect("still there"),
        "before"
    );
    assert_eq!(std::fs::read_dir(&folder).expect("still there").count(), 1);
}

contained!(grants_open_what_they_name_and_no_more);
async fn grants_open_what_they_name_and_no_more(scene: Scene) {
    let read = scene.neighbour("read", "readable");
    let write = scene.neighbour_folder("write");
    let mut job = scene.sh(&format!(
        "cat {read}; (echo x > {read}) 2>/dev/null && echo overwrote; echo kept > {write}/result; \
         ls -A {folder} 2>/dev/null; true",
        read = read.display(),
        write = write.display(),
        folder = scene.folder.path().display(),
    ));
    scene.neighbour("hidden", "x");
    job.grants.read = vec![read.clone()];
    job.grants.write = vec![write.clone()];
    let outcome = scene.run(job).await;
    let seen = text(&outcome.stdout.bytes);
    assert!(seen.starts_with("readable"), "{seen}");
    assert!(
        !seen.contains("overwrote") && !seen.contains("hidden"),
        "{seen}"
    );
    assert_eq!(
        std::fs::read_to_string(write.join("result")).expect("kept"),
        "kept\n"
    );
    // And the next job without the grant has it no more.
    let outcome = scene
        .run(scene.sh(&format!(
            "cat {} {}/result",
            read.display(),
            write.display()
        )))
        .await;
    assert_eq!(text(&outcome.stdout.bytes), "");
}

contained!(what_would_undo_the_sandbox_cannot_be_granted);
async fn what_would_undo_the_sandbox_cannot_be_granted(scene: Scene) {
    let link = scene.folder.path().join("link");
    std::os::unix::fs::symlink("/proc", &link).expect("a link");
    for path in [
        "/",
        "/proc",
        "/dev/shm",
        "/tmp",
        "relative",
        "/usr/../etc",
        link.to_str().expect("text"),
    ] {
        let mut job = scene.sh("true");
        job.grants.write = vec![path.into()];
        let error = scene.sandbox.run(job).await.expect_err("refused");
        assert!(
            matches!(error, SandboxError::BadPath { .. }),
            "{path}: {error}"
        );
    }
}
