//! Whether files have changed, without reading them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use skill_format::{SKILL_MD, SKILL_YAML};

use super::load::Cached;
use super::sources;
use super::{LibraryError, Source};

/// Files that may decide how a skill without a manifest is run.
const LOOKED_AT: [&str; 7] = [
    SKILL_MD,
    SKILL_YAML,
    "scripts",
    "scripts/run.sh",
    "scripts/run.py",
    "scripts/run.js",
    "scripts/run.wasm",
];

/// What a file was when it was looked at: identity, mode, size and times; `None` where there is none.
type Mark = Option<(u64, u64, u32, u64, (i64, i64), (i64, i64))>;

/// The marks of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stamp(BTreeMap<PathBuf, Mark>);

impl Stamp {
    pub fn look_at(&mut self, path: PathBuf) {
        let mark = fs::metadata(&path).ok().map(|found| {
            (
                found.dev(),
                found.ino(),
                found.mode(),
                found.len(),
                (found.mtime(), found.mtime_nsec()),
                (found.ctime(), found.ctime_nsec()),
            )
        });
        self.0.insert(path, mark);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The same files, with the marks that they had before where those are known: what changed in between
    /// shows at the next look.
    pub fn or_earlier(mut self, earlier: &Self) -> Self {
        for (path, mark) in &mut self.0 {
            if let Some(before) = earlier.0.get(path) {
                *mark = *before;
            }
        }
        self
    }

    /// Of a skill's folder: what decides how it is run, and the scripts that it names.
    pub fn of_skill<'a>(folder: &Path, scripts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut stamp = Self::default();
        for path in LOOKED_AT.into_iter().chain(scripts) {
            stamp.look_at(folder.join(path));
        }
        stamp
    }
}

/// Of everything that the sources lead to.
pub(super) fn take(
    sources: &[Source],
    cache: &HashMap<PathBuf, Cached>,
) -> Result<Stamp, LibraryError> {
    let mut stamp = Stamp::default();
    for source in sources {
        let found = sources::find(source)?;
        for path in found.deciding {
            stamp.look_at(path);
        }
        for folder in found.folders {
            let scripts = cache.get(&folder).map_or(&[][..], Cached::scripts);
            stamp.extend(Stamp::of_skill(&folder, scripts.iter().map(String::as_str)));
        }
    }
    Ok(stamp)
}
