//! The variables that a running skill sees: a few harmless ones, and those that it declares.

use std::collections::BTreeSet;
use std::ffi::OsString;

use skill_format::Manifest;

use super::RunError;

/// Longest input that is also given as `SKILLSCALE_INTENT`, in bytes. Linux refuses to start a
/// program with a variable of 128 KiB or more (`MAX_ARG_STRLEN`).
pub const INTENT_BYTES_MAX: usize = 100 * 1024;
/// The variable with the input, where it fits.
pub const INTENT: &str = "SKILLSCALE_INTENT";

/// Passed on if they are set. HOME is among them since interpreters find their packages by it; it
/// holds no secret itself.
const PASSED_ON: [&str; 4] = ["HOME", "LANG", "TMPDIR", "TZ"];
pub(super) const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Set for every skill: Python must not write `__pycache__` into the installed folder, which would
/// look like a change to it.
const ALWAYS: [(&str, &str); 1] = [("PYTHONDONTWRITEBYTECODE", "1")];

/// Required variables that are not set.
pub fn missing_variables(
    manifest: &Manifest,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<String> {
    manifest
        .permissions
        .environment
        .iter()
        .filter(|declared| declared.required)
        .filter(|declared| variable(&declared.name).is_none_or(|value| value.is_empty()))
        .map(|declared| declared.name.clone())
        .collect()
}

/// All variables but the input's, which [`intent`] gives.
pub(super) fn build(
    manifest: &Manifest,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<(String, OsString)>, RunError> {
    let missing = missing_variables(manifest, variable);
    if !missing.is_empty() {
        return Err(RunError::MissingEnvironment {
            skill: manifest.name.to_string(),
            names: missing,
        });
    }
    let mut environment = vec![("PATH".to_owned(), search_path(variable("PATH")))];
    environment.extend(ALWAYS.map(|(name, value)| (name.to_owned(), value.into())));
    let mut names: BTreeSet<&str> = PASSED_ON.into_iter().collect();
    let declared = manifest.permissions.environment.iter();
    names.extend(declared.map(|declared| declared.name.as_str()));
    for name in names {
        let taken = name == INTENT || environment.iter().any(|(known, _)| known == name);
        if let (false, Some(value)) = (taken, variable(name)) {
            environment.push((name.to_owned(), value));
        }
    }
    Ok(environment)
}

/// Without relative folders: they would be looked up in the skill's own.
fn search_path(path: Option<OsString>) -> OsString {
    let path = path.unwrap_or_else(|| PATH_DEFAULT.into());
    let absolute = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    std::env::join_paths(absolute).unwrap_or_else(|_| PATH_DEFAULT.into())
}

/// The variable with the input, where it fits into one.
pub(super) fn intent(input: &[u8]) -> Option<(String, OsString)> {
    let fits = input.len() <= INTENT_BYTES_MAX && !input.contains(&0);
    let text = std::str::from_utf8(input).ok().filter(|_| fits)?;
    Some((INTENT.to_owned(), text.into()))
}
