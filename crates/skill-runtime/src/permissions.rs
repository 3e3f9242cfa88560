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

/// What skills get of what they ask to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granting {
    /// What they declare.
    AsDeclared {
        /// The folder that the agent works in, to which permissions are relative; absolute.
        cwd: PathBuf,
        /// Grant the whole network, whatever a skill declares.
        allow_network: bool,
        /// Files and folders, absolute, that no skill is shown whatever it asks for, such as keys.
        secrets: Vec<PathBuf>,
    },
    /// Their own folders, and a scratch folder for each run: of skills that strangers publish and strangers
    /// ask for. What they declare of files is not there; one that asks for the network is refused.
    Nothing,
}

/// A permission that the sandbox cannot grant as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// Some hosts and no others.
    #[error("it asks for {} only, and the sandbox cannot tell hosts apart", hosts.join(", "))]
    Hosts {
        /// As the skill names them.
        hosts: Vec<String>,
    },
    /// The network, where there is none for anybody.
    #[error("it asks for the network, which is granted to no skill here")]
    Network,
    /// A pattern of paths.
    #[error("its permission for `{pattern}` {why}")]
    Path {
        /// As the skill writes it.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Secrets lie in what it asks for.
    #[error("its permission for `{pattern}` would show it {}, which holds secrets", secret.display())]
    Secret {
        /// As the skill writes it.
        pattern: String,
        /// What is not shown.
        secret: PathBuf,
    },
}

impl Explain for PermissionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Hosts { .. } => "network-unenforceable",
            Self::Network => "network-not-granted",
            Self::Path { .. } => "path-permission-unenforceable",
            Self::Secret { .. } => "path-permission-secret",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Hosts { .. } => "--allow-network grants it the whole network",
            Self::Network => "install it and run it yourself, or serve it with `skills worker`",
            Self::Path { .. } => {
                "ask its author for a path inside the working folder, or for a folder as in data/**"
            }
            Self::Secret { .. } => "work in a folder that holds none of it",
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

/// What a skill gets of what it asks for. What is in the working folder is looked at when a job begins: others
/// may change it until then.
pub(crate) fn grants(
    permissions: &Permissions,
    granting: &Granting,
) -> Result<Grants, PermissionError> {
    let paths = |patterns: &[String]| -> Result<Vec<PathBuf>, PermissionError> {
        patterns.iter().map(|one| granted_path(one)).collect()
    };
    let (read, write) = (paths(&permissions.read)?, paths(&permissions.write)?);
    let Granting::AsDeclared {
        cwd,
        allow_network,
        secrets,
    } = granting
    else {
        return match permissions.network {
            NetworkPermission::None => Ok(Grants::default()),
            _ => Err(PermissionError::Network),
        };
    };
    let network = match &permissions.network {
        NetworkPermission::None => *allow_network,
        NetworkPermission::All => true,
        NetworkPermission::Hosts(_) if *allow_network => true,
        NetworkPermission::Hosts(hosts) => {
            return Err(PermissionError::Hosts {
                hosts: hosts.clone(),
            });
        }
    };
    let patterns = permissions.read.iter().chain(&permissions.write);
    for (pattern, relative) in patterns.zip(read.iter().chain(&write)) {
        refuse_secrets(pattern, &real(cwd).join(relative), secrets)?;
    }
    Ok(Grants {
        network,
        below: Below {
            folder: cwd.clone(),
            read,
            write,
        },
        ..Grants::default()
    })
}

/// Refuses a path that is, holds or lies in one of `secrets`. Below the working folder no path of a permission
/// leads through a link, so that this stays true of what is shown later.
fn refuse_secrets(
    pattern: &str,
    granted: &Path,
    secrets: &[PathBuf],
) -> Result<(), PermissionError> {
    let mut secrets = secrets.iter();
    let shown = secrets.find(|secret| {
        let secret = real(secret);
        secret.starts_with(granted) || granted.starts_with(&secret)
    });
    match shown {
        Some(secret) => Err(PermissionError::Secret {
            pattern: pattern.to_owned(),
            secret: secret.clone(),
        }),
        None => Ok(()),
    }
}

/// Without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let there = path
        .ancestors()
        .find_map(|part| Some((part.canonicalize().ok()?, path.strip_prefix(part).ok()?)));
    there.map_or_else(|| path.to_owned(), |(there, rest)| there.join(rest))
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
        let error = grants(&permissions, &granting("/", false)).expect_err("refused");
        assert_eq!(error.code(), "network-unenforceable");
        let granted = grants(&permissions, &granting("/", true)).expect("granted");
        assert!(granted.network);
        let error = grants(&permissions, &Granting::Nothing).expect_err("refused");
        assert_eq!(error.code(), "network-not-granted");
    }

    fn granting(cwd: impl Into<PathBuf>, allow_network: bool) -> Granting {
        Granting::AsDeclared {
            cwd: cwd.into(),
            allow_network,
            secrets: Vec::new(),
        }
    }

    #[test]
    fn no_permission_shows_a_secret_whatever_leads_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("home");
        std::fs::create_dir_all(home.join(".skills/keys")).expect("made");
        std::fs::create_dir(home.join("work")).expect("made");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&home, &link).expect("a link");
        // One that is not there yet may come.
        let secrets = [home.join(".skills/config.json"), home.join(".skills/keys")];
        for cwd in [&home, &link] {
            let rules = Granting::AsDeclared {
                cwd: cwd.clone(),
                allow_network: false,
                secrets: secrets.to_vec(),
            };
            let asking = |pattern: &str| Permissions {
                read: vec!["work".into(), pattern.into()],
                ..Permissions::default()
            };
            for pattern in [
                "**",
                ".skills/**",
                ".skills/config.json",
                ".skills/keys/key",
            ] {
                let error = grants(&asking(pattern), &rules).expect_err(pattern);
                assert_eq!(error.code(), "path-permission-secret");
            }
            for pattern in ["work/**", ".skills/other", ".skills/config"] {
                assert!(grants(&asking(pattern), &rules).is_ok(), "{pattern}");
            }
        }
    }

    #[test]
    fn the_search_path_holds_what_the_sandbox_shows() {
        let path = search_path(Some("/root/.pyenv/shims:/usr/bin:relative:/bin".into()));
        assert_eq!(path, "/usr/bin:/bin");
        assert!(search_path(None).to_string_lossy().contains("/usr/bin"));
    }
}
