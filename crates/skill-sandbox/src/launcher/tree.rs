//! The file tree that jobs see: read-only views of the system, the skill and what was granted, and
//! a scratch folder. Nothing else of the host is in it.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::pivot_root;

use super::{failed, placing};
use crate::beneath;
use crate::sys;
use crate::wire::Setup;

/// Where the new tree is built before it becomes the root, and later the scratch folder.
pub const SCRATCH: &str = "/tmp";
/// The host's tree while the new one is filled.
pub const OLD: &str = "/.old";

/// Folders of the system that programs are made of.
pub const SYSTEM: &[&str] = &[
    "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr", "/opt",
];
/// What of /etc programs read to start, to find libraries, zones and certificates.
pub const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
];
/// What of /etc names resolve with; only where the network is granted.
pub const ETC_NETWORK: &[&str] = &["/etc/host.conf", "/etc/hosts", "/etc/resolv.conf"];
pub const DEVICES: &[&str] = &[
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];

/// Replaces the root. Returns whether `/proc` could be mounted. The user and group are those of
/// the job.
pub fn build(setup: &Setup, uid: u32, gid: u32) -> io::Result<bool> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(failed("making mounts private"))?;
    let stage = Path::new(SCRATCH);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("root"),
        stage,
        Some("tmpfs"),
        flags,
        Some("mode=0755,size=1m"),
    )
    .map_err(failed("mounting a root"))?;
    for path in SYSTEM
        .iter()
        .chain(ETC)
        .chain(setup.network.then_some(ETC_NETWORK).into_iter().flatten())
    {
        show_system(stage, Path::new(path)).map_err(failed(path))?;
    }
    for path in DEVICES {
        show_device(stage, Path::new(path)).map_err(failed(path))?;
    }
    finish_dev(&stage.join("dev")).map_err(failed("making /dev"))?;
    fs::create_dir_all(stage.join("etc"))?;
    fs::write(
        stage.join("etc/passwd"),
        format!("root:x:0:0::/:/bin/sh\nskill:x:{uid}:{gid}::/tmp:/bin/sh\n"),
    )?;
    fs::write(
        stage.join("etc/group"),
        format!("root:x:0:\nskill:x:{gid}:\n"),
    )?;
    for name in ["proc", "tmp", ".old"] {
        fs::create_dir_all(stage.join(name))?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // A container that hides parts of its /proc may not make a new one.
    let proc = mount(
        Some("proc"),
        &stage.join("proc"),
        Some("proc"),
        flags,
        None::<&str>,
    )
    .is_ok();
    pivot_root(stage, &stage.join(".old")).map_err(failed("changing the root"))?;
    nix::unistd::chdir("/")?;
    mount_scratch(setup)?;
    placing::show(setup)?;
    umount2(OLD, MntFlags::MNT_DETACH).map_err(failed("leaving the host's tree"))?;
    fs::remove_dir(OLD)?;
    let flags = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(failed("making the root read-only"))?;
    Ok(proc)
}

fn mount_scratch(setup: &Setup) -> io::Result<()> {
    let options = format!(
        "mode=1777,size={},nr_inodes={}",
        setup.scratch_bytes,
        // The folder itself is one, and so are folders that lead to what is shown below it.
        setup.scratch_files.saturating_add(16)
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("scratch"),
        SCRATCH,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )
    .map_err(failed("mounting a scratch folder"))
}

/// A read-only view of a system's folder below `stage`; nothing where the host has nothing. Its
/// parents are ours, so no link of the host's can lead the target astray.
fn show_system(stage: &Path, path: &Path) -> io::Result<()> {
    let target = stage.join(path.strip_prefix("/").unwrap_or(path));
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    if metadata.is_symlink() {
        let link = fs::read_link(path)?;
        // Inside the system a link leads to what is shown as well; elsewhere, such as
        // /etc/resolv.conf into /run, it would lead nowhere.
        let inside = link.is_relative() || SYSTEM.iter().any(|system| link.starts_with(system));
        if inside && !resolves_outside(path) {
            return symlink(link, &target);
        }
    }
    let Ok(source) = path.canonicalize() else {
        return Ok(());
    };
    bind(&source, &target)
}

fn resolves_outside(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| {
        !SYSTEM
            .iter()
            .chain(ETC)
            .any(|shown| real.starts_with(shown))
    })
}

fn show_device(stage: &Path, path: &Path) -> io::Result<()> {
    let target = stage.join(path.strip_prefix("/").unwrap_or(path));
    fs::create_dir_all(stage.join("dev"))?;
    fs::write(&target, "")?;
    mount(
        Some(path),
        &target,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )?;
    Ok(())
}

fn finish_dev(dev: &Path) -> io::Result<()> {
    symlink("/proc/self/fd", dev.join("fd"))?;
    for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
        symlink(format!("/proc/self/fd/{number}"), dev.join(name))?;
    }
    // Shared memory lives and counts in the scratch folder.
    symlink(SCRATCH, dev.join("shm"))
}

/// A read-only view.
fn bind(source: &Path, target: &Path) -> io::Result<()> {
    make_target(source, target)?;
    // With submounts: the kernel does not let a user namespace take them apart.
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source), target, None::<&str>, flags, None::<&str>)?;
    sys::make_mounts_read_only(beneath::hold(target)?.as_fd())
}

/// What a file or folder can be mounted on.
pub fn make_target(source: &Path, target: &Path) -> io::Result<()> {
    if fs::metadata(source)?.is_dir() {
        fs::create_dir_all(target)?;
    } else if fs::symlink_metadata(target).is_err() {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(target, "")?;
    }
    Ok(())
}

/// Removes what a job left in its scratch folder. Folders that lead to `kept`, and `kept` itself,
/// are the launcher's. Nothing of the job lives any more, so nothing changes underneath.
pub fn clean(scratch: &Path, kept: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(scratch)? {
        let path = entry?.path();
        if kept.contains(&path) {
            continue;
        }
        let metadata = fs::symlink_metadata(&path)?;
        if !metadata.is_dir() {
            fs::remove_file(&path)?;
        } else if kept.iter().any(|kept| kept.starts_with(&path)) {
            clean(&path, kept)?;
        } else if fs::remove_dir_all(&path).is_err() {
            open_folders(&path)?;
            // Follows no link. Where this fails as well the caller gives up the whole launcher, and
            // its scratch folder with it.
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Lets folders be entered and emptied again that a job has closed.
fn open_folders(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // The type is the entry's own, not that of what it links to.
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_removes_everything_but_what_is_shown_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        let outside = folder.path().join("outside");
        fs::create_dir_all(scratch.join("a/b/skill")).unwrap();
        fs::create_dir_all(scratch.join("deep/er")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "1").unwrap();
        fs::write(scratch.join("a/b/skill/SKILL.md"), "1").unwrap();
        fs::write(scratch.join("a/b/left"), "1").unwrap();
        fs::write(scratch.join("deep/er/left"), "1").unwrap();
        fs::set_permissions(scratch.join("deep/er"), fs::Permissions::from_mode(0o000)).unwrap();
        symlink(&outside, scratch.join("link")).unwrap();
        symlink(&outside, scratch.join("deep/link")).unwrap();
        clean(&scratch, &[scratch.join("a/b/skill")]).unwrap();
        let left: Vec<_> = fs::read_dir(&scratch)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["a"]);
        assert!(scratch.join("a/b/skill/SKILL.md").exists());
        assert!(!scratch.join("a/b/left").exists());
        assert!(outside.join("precious").exists());
    }
}
