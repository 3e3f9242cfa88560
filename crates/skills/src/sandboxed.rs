//! Runs a skill's entry point in the sandbox: what `permissions` asks for becomes what the sandbox
//! grants, and what cannot be enforced is refused unless a person says otherwise.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use skill_client::run::{Ended, OUTPUT_BYTES_MAX, Outcome, RunRequest, Sink, Stream};
use skill_format::{NetworkPermission, Permissions};
use skill_sandbox::{Chunk, Grants, Job, Sandbox, Settings};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::printer::Printer;

/// Folders with programs that a sandboxed skill sees.
const PROGRAM_FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// Variables that lead to the scratch folder instead of where they lead outside.
const SCRATCH_VARIABLES: [&str; 2] = ["HOME", "TMPDIR"];

/// How strictly a run is contained.
#[derive(Debug, Clone, Copy)]
pub struct Strictness {
    /// Run even where the host cannot enforce everything.
    pub allow_degraded: bool,
    /// Grant the whole network to a skill that names hosts.
    pub allow_network: bool,
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

/// Runs `request` with what `permissions` grants below `cwd`, the folder that the agent works in.
/// Ends it when `interrupted` resolves.
pub async fn run(
    request: &RunRequest,
    permissions: &Permissions,
    cwd: &Path,
    strictness: Strictness,
    sink: &mut dyn Sink,
    interrupted: impl Future<Output = ()>,
    printer: &Printer,
) -> Result<(Outcome, Option<String>), Failure> {
    let grants = grants(permissions, cwd, strictness)?;
    let sandbox = Sandbox::start(Settings {
        slots: 1,
        allow_degraded: strictness.allow_degraded,
        ..Settings::default()
    })
    .await?;
    for missing in &sandbox.protections().missing {
        printer.warn(format!("this host does not enforce {missing}"));
    }
    let (sender, mut chunks) = mpsc::unbounded_channel();
    let started = Instant::now();
    let ending = sandbox.run(job(request, grants, sender));
    tokio::pin!(ending, interrupted);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(chunk) = chunks.recv() => pass_on(&chunk, sink),
            outcome = &mut ending => break outcome?,
            () = &mut interrupted => {
                return Ok((interrupted_outcome(started), None));
            }
        }
    };
    while let Ok(chunk) = chunks.try_recv() {
        pass_on(&chunk, sink);
    }
    Ok((
        Outcome {
            ended: ended(outcome.ended),
            duration: outcome.duration,
            input_taken: true,
            ended_descendants: outcome.leftover_processes as usize,
            survivors: 0,
        },
        limit(outcome.ended),
    ))
}

fn pass_on(chunk: &Chunk, sink: &mut dyn Sink) {
    let stream = match chunk.stream {
        skill_sandbox::Stream::Stdout => Stream::Output,
        skill_sandbox::Stream::Stderr => Stream::Error,
    };
    sink.take(stream, &chunk.bytes);
}

fn interrupted_outcome(started: Instant) -> Outcome {
    Outcome {
        ended: Ended::Interrupted,
        duration: started.elapsed(),
        input_taken: true,
        ended_descendants: 0,
        survivors: 0,
    }
}

fn ended(ended: skill_sandbox::Ended) -> Ended {
    use skill_sandbox::Ended as Of;
    match ended {
        Of::Exited(code) => Ended::Exited(code),
        Of::TimedOut => Ended::TimedOut,
        Of::Signaled(_) | Of::OutputLimit | Of::CpuLimit | Of::MemoryLimit => {
            Ended::Signaled(ended.exit_code() - 128)
        }
    }
}

/// The limit that ended a run, for people.
fn limit(ended: skill_sandbox::Ended) -> Option<String> {
    use skill_sandbox::Ended as Of;
    let limits = skill_sandbox::Limits::default();
    match ended {
        Of::OutputLimit => Some(format!("wrote more than {OUTPUT_BYTES_MAX} bytes")),
        Of::CpuLimit => Some("used up its processor time".to_owned()),
        Of::MemoryLimit => Some(format!(
            "used more than {} MiB of memory",
            limits.memory_bytes / 1024 / 1024
        )),
        _ => None,
    }
}

fn job(request: &RunRequest, grants: Grants, progress: mpsc::UnboundedSender<Chunk>) -> Job {
    let mut job = Job::new(&request.program, &request.folder);
    job.args = request.arguments.clone();
    job.environment = request
        .environment
        .iter()
        .filter(|(name, _)| !SCRATCH_VARIABLES.contains(&name.as_str()))
        .map(|(name, value)| (name.into(), value.clone()))
        .collect();
    job.scratch_variables = SCRATCH_VARIABLES.map(OsString::from).to_vec();
    job.stdin = request.input.clone();
    job.limits.wall = request.timeout;
    // A skill that computes for all of its time is not to be ended before.
    job.limits.cpu_seconds = request.timeout.as_secs().saturating_add(1);
    job.limits.output_bytes = OUTPUT_BYTES_MAX;
    job.grants = grants;
    job.progress = Some(progress);
    job
}

fn grants(
    permissions: &Permissions,
    cwd: &Path,
    strictness: Strictness,
) -> Result<Grants, Failure> {
    let network = match &permissions.network {
        NetworkPermission::None => strictness.allow_network,
        NetworkPermission::All => true,
        NetworkPermission::Hosts(_) if strictness.allow_network => true,
        NetworkPermission::Hosts(hosts) => {
            return Err(Failure::bad_input(
                "network-unenforceable",
                format!(
                    "it asks for {} only, and the sandbox cannot tell hosts apart",
                    hosts.join(", ")
                ),
            )
            .with_help("--allow-network grants it the whole network"));
        }
    };
    let paths = |patterns: &[String]| -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        for pattern in patterns {
            let path = granted_path(pattern, cwd)?;
            // What is not there cannot be shown; the skill finds out by itself.
            if path.exists() {
                found.push(path);
            }
        }
        Ok(found)
    };
    Ok(Grants {
        network,
        read: paths(&permissions.read)?,
        write: paths(&permissions.write)?,
    })
}

/// The file or folder that a pattern names: a path, or everything below one (`data/**`).
fn granted_path(pattern: &str, cwd: &Path) -> Result<PathBuf, Failure> {
    let refused = |why: &str| {
        Failure::bad_input(
            "path-permission-unenforceable",
            format!("its permission for `{pattern}` {why}"),
        )
        .with_help(
            "ask its author for a path inside the working folder, or for a folder as in data/**",
        )
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
    Ok(cwd.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files_and_whole_folders_of_the_working_folder() {
        let cwd = Path::new("/project");
        for (pattern, path) in [
            ("data", "/project/data"),
            ("data/**", "/project/data"),
            ("**", "/project"),
            ("./a/b.csv", "/project/a/b.csv"),
        ] {
            assert_eq!(
                granted_path(pattern, cwd).ok(),
                Some(PathBuf::from(path)),
                "{pattern}"
            );
        }
        for pattern in ["../other", "/etc/passwd", "data/*.csv", "a/../../b", "**/x"] {
            let failure = granted_path(pattern, cwd).expect_err(pattern);
            assert_eq!(failure.code, "path-permission-unenforceable");
        }
    }

    #[test]
    fn a_list_of_hosts_is_refused_until_the_network_is_allowed() {
        let permissions = Permissions {
            network: NetworkPermission::Hosts(vec!["api.example.com".into()]),
            ..Permissions::default()
        };
        let strict = Strictness {
            allow_degraded: false,
            allow_network: false,
        };
        let failure = grants(&permissions, Path::new("/"), strict).expect_err("refused");
        assert_eq!(failure.code, "network-unenforceable");
        let lax = Strictness {
            allow_network: true,
            ..strict
        };
        assert!(
            grants(&permissions, Path::new("/"), lax)
                .expect("granted")
                .network
        );
    }

    #[test]
    fn the_search_path_holds_what_the_sandbox_shows() {
        let path = search_path(Some("/root/.pyenv/shims:/usr/bin:relative:/bin".into()));
        assert_eq!(path, "/usr/bin:/bin");
        assert!(search_path(None).to_string_lossy().contains("/usr/bin"));
    }
}
