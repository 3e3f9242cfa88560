//! Counting and removing environments, with the rest of the cache.

use std::path::Path;

use super::build;
use crate::cache::Tally;
use crate::fsx::{self, FileLock, FsError};

/// Those that are there, whole ones only.
pub(crate) fn size(dir: &Path) -> Result<Tally, FsError> {
    let names = fsx::entry_names(dir)?;
    let environments = names.iter().filter(|name| is_key(name));
    let mut tally = Tally::default();
    for name in environments {
        tally.count += 1;
        tally.bytes += super::process::bytes_in(&dir.join(name));
    }
    Ok(tally)
}

/// Removes those that nobody uses at this moment. Locks stay: another process may be waiting for them.
pub(crate) fn clear(dir: &Path) -> Result<(), FsError> {
    if !dir.is_dir() {
        return Ok(());
    }
    build::sweep(dir, None)?;
    for name in fsx::entry_names(dir)? {
        if !is_key(&name) {
            continue;
        }
        let lock = |ending: &str| {
            let path = dir.join("locks").join(format!("{name}.{ending}"));
            FileLock::try_exclusive(&path, "skills cache clear")
        };
        if let (Ok(_making), Ok(_in_use)) = (lock("lock")?, lock("use")?) {
            fsx::remove_tree(&dir.join(&name))?;
        }
    }
    Ok(())
}

fn is_key(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
