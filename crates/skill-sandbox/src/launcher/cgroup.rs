//! A memory bound on all processes of a job together, where the host lets this process make a
//! cgroup: version 2 or version 1. Where it does not, the job is watched instead.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::unistd::{UnlinkatFlags, unlinkat};

/// A cgroup of one launcher; removed when dropped, which works once nothing is in it.
pub struct Cgroup {
    /// Open, because the launcher will leave the file tree that its path is in.
    parent: OwnedFd,
    name: String,
    members: File,
    events: PathBuf,
}

/// What differs between the two versions.
struct Names {
    limit: &'static str,
    swap: (&'static str, SwapLimit),
    events: &'static str,
}

enum SwapLimit {
    /// Of swap alone.
    None,
    /// Of memory and swap together.
    Both,
}

const V2: Names = Names {
    limit: "memory.max",
    swap: ("memory.swap.max", SwapLimit::None),
    events: "memory.events",
};
const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    swap: ("memory.memsw.limit_in_bytes", SwapLimit::Both),
    events: "memory.oom_control",
};

impl Cgroup {
    /// None where this process may not make one or the memory controller is not there.
    pub fn create(memory_bytes: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        candidates(&own, &mounts)
            .into_iter()
            .find_map(|(folder, names)| Self::create_in(&folder, names, memory_bytes).ok())
    }

    fn create_in(folder: &Path, names: &Names, memory_bytes: u64) -> io::Result<Self> {
        let parent = File::open(folder)?.into();
        let name = format!("skill-sandbox-{}", std::process::id());
        let path = folder.join(&name);
        match fs::create_dir(&path) {
            // Left by a launcher of the same number that was killed; one that lives is not empty.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(&path)?;
                fs::create_dir(&path)?;
            }
            other => other?,
        }
        let filled = Self::fill(&path, names, memory_bytes);
        match filled {
            Ok(members) => Ok(Self {
                parent,
                name,
                members,
                events: path.join(names.events),
            }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    fn fill(path: &Path, names: &Names, memory_bytes: u64) -> io::Result<File> {
        // Not created: where the controller is not there, the files are not either.
        let set = |name: &str, value: u64| {
            let mut file = OpenOptions::new().write(true).open(path.join(name))?;
            file.write_all(value.to_string().as_bytes())
        };
        set(names.limit, memory_bytes)?;
        let (swap, limit) = &names.swap;
        let swapped = match limit {
            SwapLimit::None => set(swap, 0),
            SwapLimit::Both => set(swap, memory_bytes),
        };
        match swapped {
            // A kernel that does not account swap has no such file.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .open(path.join("cgroup.procs"))
    }

    /// Moves the calling process into it.
    pub fn join(&self) -> io::Result<()> {
        (&self.members).write_all(b"0")
    }

    pub fn oom_counter(&self) -> io::Result<OomCounter> {
        let mut counter = OomCounter {
            events: File::open(&self.events)?,
            seen: 0,
        };
        counter.has_risen();
        Ok(counter)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Something that has just been killed may take a moment to leave it.
        for _ in 0..100 {
            match unlinkat(
                self.parent.as_fd(),
                self.name.as_str(),
                UnlinkatFlags::RemoveDir,
            ) {
                Err(nix::errno::Errno::EBUSY) => {
                    let _ = nix::poll::poll(&mut [], 5u8);
                }
                _ => return,
            }
        }
    }
}

/// How often the kernel has killed for want of memory.
pub struct OomCounter {
    events: File,
    seen: u64,
}

impl OomCounter {
    /// Whether it has killed since this was asked last.
    pub fn has_risen(&mut self) -> bool {
        let mut text = [0; 512];
        let length = self.events.read_at(&mut text, 0).unwrap_or(0);
        let kills = oom_kills(&String::from_utf8_lossy(&text[..length]));
        let risen = kills > self.seen;
        self.seen = kills;
        risen
    }
}

/// Both versions write a line `oom_kill N`.
fn oom_kills(events: &str) -> u64 {
    events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        .unwrap_or(0)
}

/// Folders in which a cgroup with a memory bound may be made, best first.
///
/// In version 2 a cgroup that has processes of its own cannot hand the controller on to children,
/// so its parent is tried as well: there the new one stands beside this process's.
fn candidates(own: &str, mounts: &str) -> Vec<(PathBuf, &'static Names)> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if controllers.is_empty() {
            for folder in folders(mounts, path, |kind, _| kind == "cgroup2") {
                let parent = folder.parent().map(Path::to_owned);
                found.push((folder, &V2));
                found.extend(parent.filter(|_| path != "/").map(|parent| (parent, &V2)));
            }
        } else if controllers
            .split(',')
            .any(|controller| controller == "memory")
        {
            let is_memory = |kind: &str, options: &str| {
                kind == "cgroup" && options.split(',').any(|option| option == "memory")
            };
            found.extend(folders(mounts, path, is_memory).map(|folder| (folder, &V1)));
        }
    }
    found
}

/// Where `path` of a hierarchy is mounted (proc(5), `mountinfo`: fields 4 and 5 are the mount's
/// root in its file system and its place; after ` - ` come type, source and options).
fn folders<'a>(
    mounts: &'a str,
    path: &'a str,
    wanted: impl Fn(&str, &str) -> bool + 'a,
) -> impl Iterator<Item = PathBuf> + 'a {
    mounts.lines().filter_map(move |line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1)?);
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let below = Path::new(path).strip_prefix(root).ok()?;
        wanted(kind, options).then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(own: &str, mounts: &str) -> Vec<(String, &'static str)> {
        candidates(own, mounts)
            .into_iter()
            .map(|(path, names)| (path.display().to_string(), names.limit))
            .collect()
    }

    #[test]
    fn version_2_tries_its_own_cgroup_and_the_one_above() {
        let mounts =
            "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            paths("0::/user.slice/app.scope\n", mounts),
            [
                (
                    "/sys/fs/cgroup/user.slice/app.scope".to_owned(),
                    "memory.max"
                ),
                ("/sys/fs/cgroup/user.slice".to_owned(), "memory.max"),
            ]
        );
        assert_eq!(
            paths("0::/\n", mounts),
            [("/sys/fs/cgroup/".to_owned(), "memory.max")]
        );
    }

    #[test]
    fn version_1_is_found_by_its_controller_and_below_a_containers_root() {
        let mounts = "\
            40 30 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            41 30 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(
            paths("9:cpu:/\n4:memory:/docker/abc/x\n0::/\n", mounts),
            [(
                "/sys/fs/cgroup/memory/x".to_owned(),
                "memory.limit_in_bytes"
            )]
        );
    }

    #[test]
    fn kills_are_counted_in_the_words_of_both_versions() {
        assert_eq!(
            oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            3
        );
        assert_eq!(
            oom_kills("low 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n"),
            2
        );
        assert_eq!(oom_kills(""), 0);
    }
}
