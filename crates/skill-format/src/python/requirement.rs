//! A requirement in the form of PEP 508, by name only. It ends up on the command line of an installer, so
//! options, addresses and paths are refused here.

use std::fmt;
use std::str::FromStr;

use crate::explain::{Explain, Fault};

/// Longest requirement, in characters.
const CHARS_MAX: usize = 400;

const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];

/// A package by its name, with extras, versions and a marker where there are any: `requests[socks]>=2.1,<3`.
/// Spaces and the spelling of the name are made uniform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement(String);

/// A text that is no requirement, or none that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Python requirement {text:?} {problem}")]
pub struct RequirementError {
    text: String,
    problem: &'static str,
}

impl Explain for RequirementError {
    fn code(&self) -> &'static str {
        "python-requirement-invalid"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some("write a package with its versions, as in `pandas>=1.0,<3` (PEP 508)".into())
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text.trim())
            .map(Self)
            .map_err(|problem| RequirementError {
                text: text.chars().take(80).collect(),
                problem,
            })
    }
}

impl Requirement {
    /// A package and its range as `skill.yaml` has them: `*` means any version, a version alone that one.
    ///
    /// # Errors
    /// Where the two together are no requirement.
    pub fn of_package(package: &str, range: &str) -> Result<Self, RequirementError> {
        let range = range.trim();
        let is_version = range.starts_with(|c: char| c.is_ascii_digit());
        match range {
            "" | "*" => package.parse(),
            version if is_version => format!("{package}=={version}").parse(),
            range => format!("{package} {range}").parse(),
        }
    }

    /// As an installer takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn read(text: &str) -> Result<String, &'static str> {
    if text.chars().count() > CHARS_MAX {
        return Err("is too long");
    }
    if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err("has characters that no requirement has");
    }
    if text.starts_with('-') {
        return Err("is an option, and only packages are taken");
    }
    if text.starts_with(['.', '/', '~']) {
        return Err("is a path, and only packages by name are taken");
    }
    let (wanted, marker) = match text.split_once(';') {
        Some((wanted, marker)) => (wanted.trim(), Some(marker.trim())),
        None => (text, None),
    };
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = wanted.find(|c| !is_of_name(c)).unwrap_or(wanted.len());
    let (name, rest) = wanted.split_at(end);
    if wanted.contains("://") || rest.trim_start().starts_with('@') {
        return Err("names an address, and only packages by name are taken");
    }
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if !is_edge(name.chars().next()) || !is_edge(name.chars().last()) {
        return Err("does not begin with the name of a package");
    }
    let (extras, rest) = extras(rest.trim())?;
    let mut read = normal(name);
    read.push_str(&extras);
    read.push_str(&versions(rest.trim())?);
    if let Some(marker) = marker {
        let is_of_marker = |c: char| c.is_ascii_alphanumeric() || " _.'\"()<>=!~,+*-".contains(c);
        let quotes = |quote: char| marker.matches(quote).count() % 2;
        if marker.is_empty() || !marker.chars().all(is_of_marker) || quotes('\'') + quotes('"') > 0
        {
            return Err("has a marker that is none");
        }
        read.push_str("; ");
        read.push_str(marker);
    }
    Ok(read)
}

/// One spelling of a name (PEP 503).
fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// `[a,b]` in order, and what comes after it.
fn extras(text: &str) -> Result<(String, &str), &'static str> {
    let Some(inside) = text.strip_prefix('[') else {
        return Ok((String::new(), text));
    };
    let (inside, rest) = inside.split_once(']').ok_or("has extras without an end")?;
    let mut extras: Vec<String> = inside
        .split(',')
        .map(|extra| normal(extra.trim()))
        .collect();
    let is_extra = |extra: &String| {
        !extra.is_empty() && extra.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if !extras.iter().all(is_extra) {
        return Err("has extras that are none");
    }
    extras.sort_unstable();
    extras.dedup();
    Ok((format!("[{}]", extras.join(",")), rest))
}

fn versions(text: &str) -> Result<String, &'static str> {
    let inside = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .unwrap_or(text);
    let parts = inside.split(',').map(str::trim);
    let mut clauses = Vec::new();
    for part in parts.filter(|part| !part.is_empty()) {
        let operator = OPERATORS.iter().find(|sign| part.starts_with(**sign));
        let operator = operator.ok_or("has versions that are none of PEP 440")?;
        let version = part[operator.len()..].trim();
        let is_of_version = |c: char| c.is_ascii_alphanumeric() || "._*+!-".contains(c);
        let begins_well = version.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins_well || !version.chars().all(is_of_version) {
            return Err("has versions that are none of PEP 440");
        }
        clauses.push(format!("{operator}{version}"));
    }
    clauses.sort_unstable();
    Ok(clauses.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_have_one_spelling() {
        for (text, same) in [
            ("pandas", "pandas"),
            (" Pandas >= 1.0 , <3 ", "pandas<3,>=1.0"),
            ("ruamel_yaml (==0.18.*)", "ruamel-yaml==0.18.*"),
            (
                "requests[Socks, security]~=2.1",
                "requests[security,socks]~=2.1",
            ),
            (
                "tomli>=2; python_version < '3.11'",
                "tomli>=2; python_version < '3.11'",
            ),
            ("torch==2.1.0+cpu", "torch==2.1.0+cpu"),
            ("a===1!2.0-1", "a===1!2.0-1"),
        ] {
            let read: Requirement = text.parse().expect(text);
            assert_eq!(read.as_str(), same);
            assert_eq!(read.as_str().parse(), Ok(read.clone()), "{text} again");
        }
    }

    #[test]
    fn options_addresses_and_paths_are_refused() {
        for text in [
            "",
            "-r requirements.txt",
            "--index-url=https://evil.example",
            "-e .",
            ".",
            "./local",
            "/etc/wheel.whl",
            "~/x",
            "pkg @ https://evil.example/x.whl",
            "pkg@file:///etc/x.whl",
            "git+https://evil.example/x",
            "https://evil.example/x.whl",
            "pandas >=1 --no-deps",
            "pandas\n--pre",
            "pandas; rm -rf /",
            "pandas; os_name == 'x",
            "pandas>=$(id)",
            "_x",
            "x-",
            "x[",
            "x[]",
            "x[a b]",
            "x >",
            "x ^1.2",
            "пакет",
        ] {
            let error = text.parse::<Requirement>().expect_err(text);
            assert_eq!(error.code(), "python-requirement-invalid");
        }
    }

    #[test]
    fn packages_of_skill_yaml_are_requirements() {
        let of = |package: &str, range: &str| {
            Requirement::of_package(package, range).map(|read| read.as_str().to_owned())
        };
        assert_eq!(of("pandas", ">=1.0.0"), Ok("pandas>=1.0.0".into()));
        assert_eq!(of("pandas", "*"), Ok("pandas".into()));
        assert_eq!(of("pandas", "1.5.3"), Ok("pandas==1.5.3".into()));
        assert_eq!(
            of("requests[socks]", "~= 2.1"),
            Ok("requests[socks]~=2.1".into())
        );
        assert!(of("pandas", "https://evil.example/x.whl").is_err());
        assert!(of("pandas", "^1.2").is_err());
        assert!(of("--pre pandas", "*").is_err());
    }
}
