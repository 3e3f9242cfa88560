//! Which Python and which packages of it a skill would meet: one short run of `python3`, bounded
//! in time and output, with nothing of the environment but where programs and packages are found.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::run::{Capture, Outcome, RunRequest, run};

/// Names come by standard input, so that none is taken for code.
const PROBE: &str = r#"
import json, sys
from importlib import metadata
found = {}
for name in json.load(sys.stdin):
    try:
        found[name] = metadata.version(name)
    except Exception:
        found[name] = None
json.dump({"version": "%d.%d.%d" % sys.version_info[:3], "packages": found}, sys.stdout)
"#;
const TIMEOUT: Duration = Duration::from_secs(15);
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// What `python3` says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Python {
    pub version: String,
    /// `None`: not installed.
    pub packages: BTreeMap<String, Option<String>>,
}

/// Asks `program`. Fails with a clause that says what went wrong.
pub(super) async fn ask(
    program: PathBuf,
    packages: &[String],
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Python, String> {
    let input = serde_json::to_vec(packages).map_err(|error| error.to_string())?;
    let mut environment = vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into())];
    // Those that a running skill gets: `run` passes on no others that matter here.
    for name in ["PATH", "HOME"] {
        environment.extend(variable(name).map(|value| (name.to_owned(), value)));
    }
    let request = RunRequest {
        program,
        arguments: vec!["-c".into(), PROBE.into()],
        // Python looks for modules in its working directory first; nobody puts any there.
        folder: Path::new("/").to_owned(),
        environment,
        input,
        timeout: TIMEOUT,
    };
    let mut capture = Capture::new(OUTPUT_BYTES_MAX);
    let outcome: Outcome = run(&request, &mut capture, std::future::pending())
        .await
        .map_err(|error| error.to_string())?;
    if !outcome.ended.is_success() {
        let complaint = String::from_utf8_lossy(&capture.error.bytes);
        let last = complaint.lines().last().unwrap_or_default();
        return Err(format!(
            "it ended with code {}: {last}",
            outcome.ended.exit_code()
        ));
    }
    serde_json::from_slice(&capture.output.bytes)
        .map_err(|error| format!("its answer is not understood: {error}"))
}
