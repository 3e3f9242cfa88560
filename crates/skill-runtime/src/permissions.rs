//! From what a skill asks to be allowed to what the sandbox grants. What cannot be enforced as it was
//! asked for is refused, unless a person allows more.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use skill_format::{Explain, Fault, NetworkPermission, Permissions};
use skill_sandbox::{Below, Grants};

/// Folders with programs that a sandboxed skill sees.
const PROGRAM_FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// A permission that the sandbox cannot grant as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// Some hosts and no others.
    #[error("it asks for {} only, and the sandbox cannot tell hosts apart", hosts.join(", "))]
    Hosts {
        /// As the skill names them.
        hosts: Vec<String>,
    },
    /// A pattern of paths.
    #[error("its permission for `{pattern}` {why}")]
    Path {
        /// As the skill writes it.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Explain for PermissionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Hosts { .. } => "network-unenforceable",
            Self::Path { .. } => "path-permission-unenforceable",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Hosts { .. } => "--allow-network grants it the whole network",
            Self::Path { .. } => {
                "ask its author for a path inside the working folder, or for a folder as in data/**"
            }
        };
        Some(help.to_owned())
    }
}

/// The PATH for a skill in the sandbox: of the caller's folders those that exist in there.
pub fn search_path(path: Option<OsString>) -> OsString {
    let folders: Vec<PathBuf> = path
        .iter()
        .flat_map(std::env::split_paths)
        .filter(|folder| {
            PROGRAM_FOLDERS
                .iter()
                .any(|known| folder == Path::new(known))
        })
        .collect();
    let fallback = || PROGRAM_FOLDERS.map(PathBuf::from).to_vec();
    let folders = if folders.is_empty() {
        fallback()
    } else {
        folders
    };
    std::env::join_paths(folders).unwrap_or_default()
}

/// What `permissions` asks for, below `cwd`, the folder that the agent works in; without one no files. What
/// is in there is looked at when a job begins: others may change it until then.
pub(crate) fn grants(
    permissions: &Permissions,
    cwd: Option<&Path>,
    allow_network: bool,
) -> Result<Grants, PermissionError> {
    let network = match &permissions.network {
        NetworkPermission::None => allow_network,
        NetworkPermission::All => true,
        NetworkPermission::Hosts(_) if allow_network => true,
        NetworkPermission::Hosts(hosts) => {
            return Err(PermissionError::Hosts {
                hosts: hosts.clone(),
            });
        }
    };
    let paths = |patterns: &[String]| -> Result<Vec<PathBuf>, PermissionError> {
        patterns.iter().map(|one| granted_path(one)).collect()
    };
    let (read, write) = (paths(&permissions.read)?, paths(&permissions.write)?);
    let below = cwd.map(|folder| Below {
        folder: folder.to_owned(),
        read,
        write,
    });
    Ok(Grants {
        network,
        below: below.unwrap_or_default(),
        ..Grants::default()
    })
}

/// The file or folder of the working folder that a pattern names: a path, or everything below one
/// (`data/**`).
fn granted_path(pattern: &str) -> Result<PathBuf, PermissionError> {
    let refused = |why| PermissionError::Path {
        pattern: pattern.to_owned(),
        why,
    };
    let path = match pattern {
        "**" => "",
        _ => pattern.strip_suffix("/**").unwrap_or(pattern),
    };
    if path.contains(['*', '?', '[', '{']) {
        return Err(refused("is finer than the sandbox can enforce"));
    }
    let relative = Path::new(path);
    let stays = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !stays {
        return Err(refused("leads out of the folder that the agent works in"));
    }
    Ok(relative.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files_and_whole_folders_of_the_working_folder() {
        for (pattern, path) in [
            ("data", "data"),
            ("data/**", "data"),
            ("**", ""),
            ("a/./b.csv", "a/b.csv"),
        ] {
            assert_eq!(
                granted_path(pattern).ok(),
                Some(PathBuf::from(path)),
                "{pattern}"
            );
        }
        for pattern in ["../other", "/etc/passwd", "data/*.csv", "a/../../b", "**/x"] {
            let error = granted_path(pattern).expect_err(pattern);
            assert_eq!(error.code(), "path-permission-unenforceable");
        }
    }

    #[test]
    fn a_list_of_hosts_is_refused_until_the_network_is_allowed() {
        let permissions = Permissions {
            network: NetworkPermission::Hosts(vec!["api.example.com".into()]),
            ..Permissions::default()
        };
        let error = grants(&permissions, Some(Path::new("/")), false).expect_err("refused");
        assert_eq!(error.code(), "network-unenforceable");
        let granted = grants(&permissions, None, true).expect("granted");
        assert!(granted.network);
    }

    #[test]
    fn the_search_path_holds_what_the_sandbox_shows() {
        let path = search_path(Some("/root/.pyenv/shims:/usr/bin:relative:/bin".into()));
        assert_eq!(path, "/usr/bin:/bin");
        assert!(search_path(None).to_string_lossy().contains("/usr/bin"));
    }
}
