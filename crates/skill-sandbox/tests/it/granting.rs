//! What a job is granted of a folder that jobs write in, and no more.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skill_format::Explain;
use skill_sandbox::{Below, Ended, Job, SandboxError};

use crate::support::{SECRET, Scene, contained, text};

/// The folder that jobs work in, with `data` in it, and beside it a folder with a secret.
struct Work {
    folder: PathBuf,
    secret: PathBuf,
}

fn work(scene: &Scene) -> Work {
    let folder = scene.neighbour_folder("work");
    scene.neighbour_folder("work/data");
    let secret = scene.neighbour_folder("elsewhere");
    scene.neighbour("elsewhere/key", SECRET);
    Work { folder, secret }
}

fn below(folder: &Path, read: &[&str], write: &[&str]) -> Below {
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
    Below {
        folder: folder.to_owned(),
        read: paths(read),
        write: paths(write),
    }
}

async fn refused(scene: &Scene, job: Job) -> String {
    let error = scene.sandbox.run(job).await.expect_err("refused");
    assert!(matches!(error, SandboxError::NotGranted { .. }), "{error}");
    assert_eq!(error.code(), "path-permission-unenforceable");
    error.to_string()
}

contained!(a_link_in_the_working_folder_leads_no_permission_outside);
async fn a_link_in_the_working_folder_leads_no_permission_outside(scene: Scene) {
    let Work { folder, secret } = work(&scene);
    let script = format!(
        "cd {data} && ln -s {secret} lk && ln -s {secret}/key file && ln -s .. up && ln -s /proc/1/root root",
        data = folder.join("data").display(),
        secret = secret.display()
    );
    let mut making = scene.sh(&script);
    making.grants.below = below(&folder, &[], &["data"]);
    assert_eq!(scene.run(making).await.ended, Ended::Exited(0));

    let look = format!(
        "cat {}/key {}/data/*/key",
        secret.display(),
        folder.display()
    );
    for path in [
        "data/lk",
        "data/lk/key",
        "data/file",
        "data/up",
        "data/up/data",
        "data/root/etc",
    ] {
        for (read, write) in [(&[path][..], &[][..]), (&[], &[path])] {
            let mut job = scene.sh(&look);
            job.grants.below = below(&folder, read, write);
            let said = refused(&scene, job).await;
            assert!(said.contains("symbolic link"), "{path}: {said}");
            assert!(said.contains(path), "{path}: {said}");
        }
    }
    // The folder that has the link may be had; the link then leads to nothing.
    for (read, write) in [(&["data"][..], &[][..]), (&[""], &[]), (&[], &[""])] {
        let mut job = scene.sh(&format!("{look}; cat {}/data/file", folder.display()));
        job.grants.below = below(&folder, read, write);
        assert_eq!(text(&scene.run(job).await.stdout.bytes), "");
    }
}

contained!(a_way_upwards_is_no_permission);
async fn a_way_upwards_is_no_permission(scene: Scene) {
    let Work { folder, secret } = work(&scene);
    let absolute = secret.to_str().expect("text");
    for path in ["../elsewhere", "data/../../elsewhere", absolute] {
        let mut job = scene.sh("true");
        job.grants.below = below(&folder, &[path], &[]);
        let error = scene.sandbox.run(job).await.expect_err("refused");
        assert_eq!(error.fault(), skill_format::Fault::BadInput, "{error}");
    }
}

contained!(a_link_that_comes_and_goes_is_never_followed);
async fn a_link_that_comes_and_goes_is_never_followed(scene: Scene) {
    let Work { folder, secret } = work(&scene);
    scene.neighbour_folder("work/data/place");
    scene.neighbour("work/data/place/key", "harmless");
    let data = folder.join("data");
    symlink(&secret, data.join("link")).expect("a link");
    let over = Arc::new(AtomicBool::new(false));
    let swapping = std::thread::spawn({
        let (over, data) = (over.clone(), data.clone());
        move || {
            let turns = [
                ("place", "kept"),
                ("link", "place"),
                ("place", "link"),
                ("kept", "place"),
            ];
            while !over.load(Ordering::Relaxed) {
                for (from, to) in turns {
                    std::fs::rename(data.join(from), data.join(to)).expect("renamed");
                }
            }
        }
    });
    let look = format!("cat {}/place/key", data.display());
    for round in 0..40 {
        let mut job = scene.sh(&look);
        let write: &[&str] = if round % 2 == 0 { &[] } else { &["data"] };
        job.grants.below = below(&folder, &["data/place"], write);
        // Refused, or not there, or prepared in vain, as it happens.
        if let Ok(outcome) = scene.sandbox.run(job).await {
            let seen = text(&outcome.stdout.bytes);
            assert!(["", "harmless"].contains(&seen.as_str()), "{seen}");
        }
    }
    over.store(true, Ordering::Relaxed);
    swapping.join().expect("it swapped all the while");
}

contained!(what_may_be_written_in_what_may_be_read_is_written);
async fn what_may_be_written_in_what_may_be_read_is_written(scene: Scene) {
    let Work { folder, .. } = work(&scene);
    scene.neighbour("work/input", "read me");
    let script = "cd FOLDER && cat input && echo kept > data/result; (echo x > input) 2>/dev/null; (echo x > new) 2>/dev/null; true";
    let mut job = scene.sh(&script.replace("FOLDER", folder.to_str().expect("text")));
    job.grants.below = below(&folder, &[""], &["data", "absent"]);
    assert_eq!(text(&scene.run(job).await.stdout.bytes), "read me");
    let written = std::fs::read_to_string(folder.join("data/result"));
    assert_eq!(written.expect("kept"), "kept\n");
    let input = std::fs::read_to_string(folder.join("input"));
    assert_eq!(input.expect("still there"), "read me");
    assert!(!folder.join("new").exists());
}

/// The working folder with the job's own skill, another skill and a list of skills in it, all of which every
/// user may write.
fn with_skills(scene: &mut Scene) -> (PathBuf, [PathBuf; 3]) {
    let Work { folder, .. } = work(scene);
    for path in [
        "deep",
        "deep/skills",
        "deep/skills/own",
        "deep/skills/other",
    ] {
        scene.neighbour_folder(&format!("work/{path}"));
    }
    let skills = folder.join("deep/skills");
    scene.neighbour("work/deep/skills/own/run", "own");
    scene.neighbour("work/deep/skills/other/run", "other");
    let list = scene.neighbour("work/AGENTS.md", "list");
    scene.skill = skills.join("own");
    (
        folder,
        [skills.join("own/run"), skills.join("other/run"), list],
    )
}

contained!(what_may_be_written_around_skills_leaves_them_as_they_are);
async fn what_may_be_written_around_skills_leaves_them_as_they_are(mut scene: Scene) {
    let (folder, kept) = with_skills(&mut scene);
    let script = "cd FOLDER; for file in deep/skills/own/run deep/skills/other/run AGENTS.md; do \
           (echo changed > $file) 2>/dev/null && echo wrote $file; chmod 600 $file 2>/dev/null && echo opened $file; \
           rm -f $file 2>/dev/null; mv data/new $file 2>/dev/null && echo replaced $file; \
           ln $file data/hard 2>/dev/null && echo linked $file; done; \
         (echo x > deep/skills/new) 2>/dev/null && echo added; \
         for path in deep deep/skills deep/skills/own deep/skills/other; do mv $path data/away 2>/dev/null && echo moved $path; done; \
         rm -rf deep 2>/dev/null; \
         cat deep/skills/own/run deep/skills/other/run AGENTS.md; echo made > made; mkdir deep/made && echo x > deep/made/x";
    let mut job = scene.sh(&script.replace("FOLDER", folder.to_str().expect("text")));
    job.grants.below = below(&folder, &[], &["", "data"]);
    job.grants.protected = vec![folder.join("deep/skills"), folder.join("AGENTS.md")];
    std::fs::write(folder.join("data/new"), "changed").expect("written");
    if scene.is_full() {
        assert_eq!(text(&scene.run(job).await.stdout.bytes), "ownotherlist");
        assert!(folder.join("made").exists() && folder.join("deep/made/x").exists());
    } else {
        let said = refused(&scene, job).await;
        assert!(said.contains("namespaces"), "{said}");
    }
    for (file, content) in kept.iter().zip(["own", "other", "list"]) {
        let now = std::fs::read_to_string(file).expect("still there");
        assert_eq!(now, content, "{}", file.display());
    }
    assert!(!folder.join("deep/skills/new").exists());
}

contained!(folders_beside_a_skill_are_only_read_where_they_may_be_written_as_well);
async fn folders_beside_a_skill_are_only_read_where_they_may_be_written_as_well(mut scene: Scene) {
    let (folder, [_, other, _]) = with_skills(&mut scene);
    let mut job = scene.sh(&format!(
        "cat {0}; (echo x > {0}) 2>/dev/null; true",
        other.display()
    ));
    job.grants.read = vec![folder.join("deep/skills/other")];
    job.grants.below = below(&folder, &[], &[""]);
    if scene.is_full() {
        assert_eq!(text(&scene.run(job).await.stdout.bytes), "other");
    } else {
        refused(&scene, job).await;
    }
    assert_eq!(
        std::fs::read_to_string(other).expect("still there"),
        "other"
    );
}

contained!(nothing_in_a_skill_may_be_written_and_nothing_be_made_one);
async fn nothing_in_a_skill_may_be_written_and_nothing_be_made_one(mut scene: Scene) {
    let (folder, _) = with_skills(&mut scene);
    symlink("deep/skills", folder.join("current")).expect("a link");
    let skills = folder.join("deep/skills");
    for (write, protected) in [
        ("deep/skills", skills.clone()),
        ("deep/skills/own", skills.clone()),
        ("deep/skills/own/run", skills.clone()),
        ("deep/skills/other", skills.clone()),
        // The job's own without being named.
        ("deep/skills/own", folder.join("data")),
        // Who can exchange the link, or make what is not there yet, decides what is run later.
        ("", folder.join("current")),
        ("", folder.join("absent/skills")),
    ] {
        let mut job = scene.sh("true");
        job.grants.below = below(&folder, &[], &[write]);
        job.grants.protected = vec![protected];
        let said = refused(&scene, job).await;
        assert!(said.contains("would be writable"), "{write}: {said}");
    }
}
