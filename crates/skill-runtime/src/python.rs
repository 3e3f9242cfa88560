//! Which command lines are a Python script and nothing else, so that a warm interpreter may run them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use skill_client::run::find_program;

/// Longest first line that is read of a script; the kernel reads 256 bytes of it.
const FIRST_LINE_BYTES_MAX: u64 = 256;

/// The same command line with the interpreter in front, if `program` is a Python script or an
/// interpreter with one. `search` is the PATH that the skill will see.
pub(crate) fn command_line(
    program: &Path,
    arguments: &[OsString],
    search: &OsStr,
) -> Option<(PathBuf, Vec<OsString>)> {
    match arguments {
        [] if is_python_file(program) => {
            let interpreter = named_in(program, search)?;
            Some((interpreter, vec![program.as_os_str().to_owned()]))
        }
        [script] if is_interpreter(program) && is_python_file(Path::new(script)) => {
            Some((program.to_owned(), vec![script.clone()]))
        }
        _ => None,
    }
}

fn is_python_file(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("py"))
}

/// `python3`, `python3.11`, and `python` of today, but no other implementation.
fn is_interpreter(program: &Path) -> bool {
    let name = program.file_name().and_then(OsStr::to_str).unwrap_or("");
    let version = name.strip_prefix("python");
    version.is_some_and(|version| {
        version
            .chars()
            .all(|character| character.is_ascii_digit() || character == '.')
    })
}

/// The interpreter in the script's first line, if that says nothing else to it.
fn named_in(script: &Path, search: &OsStr) -> Option<PathBuf> {
    let mut line = String::new();
    let file = File::open(script).ok()?;
    BufReader::new(file.take(FIRST_LINE_BYTES_MAX))
        .read_line(&mut line)
        .ok()?;
    let mut words = line.strip_prefix("#!")?.split_whitespace();
    let interpreter = match words.next()? {
        "/usr/bin/env" => find_program(words.next()?, search)?,
        path => PathBuf::from(path),
    };
    let is_alone = words.next().is_none();
    (is_alone && is_interpreter(&interpreter)).then_some(interpreter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warmed(first_line: &str) -> Option<PathBuf> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = folder.path().join("run.py");
        std::fs::write(&script, format!("{first_line}\nprint()\n")).expect("written");
        command_line(&script, &[], OsStr::new("/usr/bin")).map(|(program, _)| program)
    }

    #[test]
    fn a_script_that_names_python_and_nothing_else_may_be_run_warm() {
        let python = Some(PathBuf::from("/usr/bin/python3"));
        assert_eq!(warmed("#!/usr/bin/python3"), python);
        assert_eq!(
            warmed("#! /usr/bin/python3.11"),
            Some("/usr/bin/python3.11".into())
        );
        assert_eq!(warmed("#!/usr/bin/python3 -I"), None);
        assert_eq!(warmed("#!/bin/sh"), None);
        assert_eq!(warmed("#!/usr/bin/pythonista"), None);
        assert_eq!(warmed("import sys"), None);
    }

    #[test]
    fn an_interpreter_with_a_script_alone_may_run_it_warm() {
        let may = |program: &str, arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            command_line(Path::new(program), &arguments, OsStr::new("")).is_some()
        };
        assert!(may("/usr/bin/python3", &["/s/run.py"]));
        assert!(!may("/usr/bin/python3", &["-m", "/s/run.py"]));
        assert!(!may("/bin/sh", &["/s/run.py"]));
        assert!(!may("/usr/bin/python3", &["/s/run.sh"]));
    }
}
