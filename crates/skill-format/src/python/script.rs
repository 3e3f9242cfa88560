//! The block of a script that says what it needs (PEP 723):
//!
//! ```text
//! # /// script
//! # requires-python = ">=3.9"
//! # dependencies = ["pandas>=1.0"]
//! # ///
//! ```
//!
//! `[tool.…]` tables in it are for other programs and not looked at.

use toml::{Table, Value};

use super::{PythonRange, Requirement};
use crate::explain::{Explain, Fault, Place};

/// Most requirements of a script.
const REQUIREMENTS_MAX: usize = 100;
const BEGIN: &str = "# /// ";
const END: &str = "# ///";

/// What a script needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptMetadata {
    pub dependencies: Vec<Requirement>,
    pub requires_python: Option<PythonRange>,
}

/// A block that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its block `/// script` cannot be read: {problem}")]
pub struct ScriptMetadataError {
    problem: String,
    /// In the script, counted from 1.
    line: u32,
}

impl Explain for ScriptMetadataError {
    fn code(&self) -> &'static str {
        "python-metadata-invalid"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(
            "write it as PEP 723 says: `# /// script`, `# dependencies = [\"pandas>=1.0\"]`, `# ///`"
                .into(),
        )
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            line: Some(self.line),
            ..Place::default()
        })
    }
}

impl ScriptMetadata {
    /// Reads the block; `None` where there is none. A block without an end is none.
    ///
    /// # Errors
    /// Where there are two, or what is in it is not understood.
    pub fn read(script: &str) -> Result<Option<Self>, ScriptMetadataError> {
        let mut found = blocks(script).filter(|block| block.kind == "script");
        let Some(block) = found.next() else {
            return Ok(None);
        };
        if let Some(second) = found.next() {
            return Err(ScriptMetadataError {
                problem: "there are two".into(),
                line: second.line,
            });
        }
        block.read().map(Some)
    }
}

/// Whether this is a script for Python: by the name of the file, or by its first line.
pub fn is_python_script(path: &str, start: &[u8]) -> bool {
    let by_name = path
        .rsplit_once('.')
        .is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("py"));
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let line = String::from_utf8_lossy(&line[..line.len().min(256)]);
    let names_python = line.strip_prefix("#!").is_some_and(|line| {
        let programs = line.split_whitespace().map(|word| word.rsplit('/').next());
        programs
            .flatten()
            .any(|program| program.starts_with("python") || program == "uv")
    });
    by_name || names_python
}

/// The line, from 1, of a block `script` that never ends, and so is none.
pub fn unclosed_block(script: &str) -> Option<u32> {
    let closed: Vec<u32> = blocks(script).map(|block| block.line).collect();
    let mut lines = (1..).zip(script.lines());
    lines
        .find(|(line, text)| *text == "# /// script" && !closed.contains(line))
        .map(|(line, _)| line)
        .filter(|_| closed.is_empty())
}

/// What stands between two marks.
struct Block<'a> {
    kind: &'a str,
    /// Of its first mark, from 1.
    line: u32,
    /// Without what makes them comments.
    lines: Vec<&'a str>,
}

/// As the expression in PEP 723 finds them: the last end among lines that are comments counts.
fn blocks(script: &str) -> impl Iterator<Item = Block<'_>> {
    let lines: Vec<&str> = script.lines().collect();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < lines.len() {
            let begin = at;
            at += 1;
            let Some(kind) = lines[begin]
                .strip_prefix(BEGIN)
                .filter(|kind| is_kind(kind))
            else {
                continue;
            };
            let comments = lines[at..]
                .iter()
                .take_while(|line| **line == "#" || line.starts_with("# "));
            let after = at + comments.count();
            let Some(end) = (at + 1..after).rev().find(|line| lines[*line] == END) else {
                continue;
            };
            let inside = lines[at..end]
                .iter()
                .map(|line| line.strip_prefix("# ").unwrap_or(&line[1..]));
            let block = Block {
                kind,
                line: u32::try_from(begin + 1).unwrap_or(u32::MAX),
                lines: inside.collect(),
            };
            at = end + 1;
            return Some(block);
        }
        None
    })
}

fn is_kind(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

impl Block<'_> {
    fn read(&self) -> Result<ScriptMetadata, ScriptMetadataError> {
        let text = self.lines.join("\n");
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().map_or(0, |span| {
                text.bytes()
                    .take(span.start)
                    .filter(|byte| *byte == b'\n')
                    .count()
            });
            self.error(error.message().to_owned(), before + 1)
        })?;
        let requires_python = match table.get("requires-python") {
            None => None,
            Some(Value::String(range)) => {
                let range = range.parse().map_err(|error| {
                    self.error(format!("{error}"), self.line_of("requires-python"))
                })?;
                Some(range)
            }
            Some(_) => {
                let problem = "`requires-python` is no text".to_owned();
                return Err(self.error(problem, self.line_of("requires-python")));
            }
        };
        Ok(ScriptMetadata {
            dependencies: self.dependencies(&table)?,
            requires_python,
        })
    }

    fn dependencies(&self, table: &Table) -> Result<Vec<Requirement>, ScriptMetadataError> {
        let wrong = |problem: String| self.error(problem, self.line_of("dependencies"));
        let items = match table.get("dependencies") {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) if items.len() <= REQUIREMENTS_MAX => items,
            Some(Value::Array(_)) => {
                return Err(wrong(format!(
                    "there are more than {REQUIREMENTS_MAX} dependencies"
                )));
            }
            Some(_) => return Err(wrong("`dependencies` is no list of texts".into())),
        };
        let read = |item: &Value| match item {
            Value::String(text) => text
                .parse()
                .map_err(|error: super::RequirementError| wrong(error.to_string())),
            _ => Err(wrong("`dependencies` is no list of texts".into())),
        };
        items.iter().map(read).collect()
    }

    /// Of a field, inside the block, from 1.
    fn line_of(&self, field: &str) -> usize {
        let found = self
            .lines
            .iter()
            .position(|line| line.trim_start().starts_with(field));
        found.map_or(0, |line| line + 1)
    }

    fn error(&self, problem: String, line: usize) -> ScriptMetadataError {
        ScriptMetadataError {
            problem,
            line: self.line.saturating_add(u32::try_from(line).unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<ScriptMetadata>, ScriptMetadataError> {
        ScriptMetadata::read(&lines.join("\n"))
    }

    #[test]
    fn the_block_is_found_as_pep_723_says() {
        let metadata = read(&[
            "#!/usr/bin/env python3",
            "# /// script",
            "# requires-python = \">=3.9\"",
            "# dependencies = [",
            "#   \"Requests<3\",",
            "#",
            "#   \"rich\",",
            "# ]",
            "# [tool.uv]",
            "# index-url = \"https://evil.example\"",
            "# ///",
            "import requests",
        ]);
        let metadata = metadata.expect("read").expect("a block");
        let names: Vec<&str> = metadata
            .dependencies
            .iter()
            .map(Requirement::as_str)
            .collect();
        assert_eq!(names, ["requests<3", "rich"]);
        assert!(metadata.requires_python.expect("a range").allows([3, 9, 0]));
    }

    #[test]
    fn the_last_end_among_comments_counts_and_other_kinds_are_skipped() {
        let script = "# /// pyproject\n# /// script\n# x = 1\n# ///\nprint()\n";
        assert_eq!(ScriptMetadata::read(script), Ok(None));
        let script =
            "# /// script\r\n# dependencies = [\"a\"]\r\n# ///\r\n# an ordinary comment\r\n";
        let metadata = ScriptMetadata::read(script)
            .expect("read")
            .expect("a block");
        assert_eq!(metadata.dependencies.len(), 1);
    }

    #[test]
    fn a_block_without_an_end_is_none() {
        let script = "print()\n# /// script\n# dependencies = [\"a\"]\nprint()\n# ///\n";
        assert_eq!(ScriptMetadata::read(script), Ok(None));
        assert_eq!(unclosed_block(script), Some(2));
        assert_eq!(unclosed_block("# /// script\n# x = 1\n# ///\n"), None);
        assert_eq!(unclosed_block("print('# /// script')\n"), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |lines: &[&str]| {
            let error = read(lines).expect_err("refused");
            assert_eq!(error.code(), "python-metadata-invalid");
            (
                error.place().and_then(|place| place.line),
                error.to_string(),
            )
        };
        let (line, _) = wrong(&["", "# /// script", "# a = 1", "# dependencies = [", "# ///"]);
        assert!(line.is_some_and(|line| (4..=5).contains(&line)), "{line:?}");
        let (line, text) = wrong(&[
            "# /// script",
            "# x = 1",
            "# dependencies = [\"-r x\"]",
            "# ///",
        ]);
        assert_eq!(line, Some(3));
        assert!(text.contains("is an option"), "{text}");
        let (_, text) = wrong(&["# /// script", "# dependencies = \"a\"", "# ///"]);
        assert!(text.contains("no list"), "{text}");
        let (_, text) = wrong(&["# /// script", "# requires-python = \"x\"", "# ///"]);
        assert!(text.contains("no range"), "{text}");
        let twice = ["# /// script", "# x = 1", "# ///", ""];
        let (line, text) = wrong(&[twice, twice].concat());
        assert_eq!((line, text.contains("two")), (Some(5), true));
    }

    #[test]
    fn python_is_known_by_name_or_first_line() {
        assert!(is_python_script("scripts/run.py", b""));
        assert!(is_python_script("scripts/RUN.PY", b"#!/bin/sh"));
        assert!(is_python_script("x", b"#!/usr/bin/env python3\nprint()"));
        assert!(is_python_script("x", b"#!/usr/bin/python3.11 -I\n"));
        assert!(is_python_script(
            "x",
            b"#!/usr/bin/env -S uv run --script\n"
        ));
        assert!(!is_python_script("run.sh", b"#!/bin/sh\n# python\n"));
        assert!(!is_python_script("run", b"\x7fELF"));
    }
}
