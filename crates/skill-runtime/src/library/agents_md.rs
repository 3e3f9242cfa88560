//! Reads the `<available_skills>` of an `AGENTS.md`, as OpenSkills and `skills load` write it: a `<skill>`
//! with `<name>` and `<location>` for each.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of the file that are read.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most skills that are listed.
const ENTRIES_MAX: usize = 2_000;

/// A listed skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    location: Option<String>,
}

impl Entry {
    /// Where it may lie, likeliest first: the location as a folder, or as its `SKILL.md`, or, where the
    /// location is a word such as `project`, the folder of its name.
    pub fn folders(&self, base: &Path) -> impl Iterator<Item = PathBuf> {
        let location = self.location.as_deref().map(|location| base.join(location));
        let of_file = location
            .as_deref()
            .filter(|path| path.ends_with("SKILL.md"))
            .and_then(Path::parent)
            .map(Path::to_owned);
        let own = base.join(&self.name);
        of_file.into_iter().chain(location).chain([own])
    }
}

/// The listed skills; `None` where there is no such file, or no list in it.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<Entry>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

fn parse(text: &str) -> Option<Vec<Entry>> {
    let mut rest = between(text, "available_skills")?.0;
    let mut entries = Vec::new();
    while let Some((skill, after)) = between(rest, "skill") {
        rest = after;
        let Some(name) = field(skill, "name") else {
            continue;
        };
        if entries.len() == ENTRIES_MAX {
            break;
        }
        entries.push(Entry {
            name,
            location: field(skill, "location"),
        });
    }
    Some(entries)
}

/// What stands in the first element of this name, and what comes after it.
fn between<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (_, begun) = text.split_once(&format!("<{name}>"))?;
    begun.split_once(&format!("</{name}>"))
}

fn field(text: &str, name: &str) -> Option<String> {
    let (value, _) = between(text, name)?;
    let value = value.trim();
    let plain = value
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_skills_are_read_whatever_stands_around_them() {
        let text = "# Agents\n<available_skills>\n<skill>\n<name>a&amp;b</name>\n<description>x</description>\n\
                    <location>data/a/</location>\n</skill>\n<skill><name> c </name></skill>\n<skill></skill>\n\
                    </available_skills>\n<skill><name>after</name></skill>";
        let entries = parse(text).expect("a list");
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a&b", "c"]);
        let folders = |index: usize| entries[index].folders(Path::new("/b")).collect::<Vec<_>>();
        assert_eq!(folders(0), [PathBuf::from("/b/data/a/"), "/b/a&b".into()]);
        assert_eq!(folders(1), [PathBuf::from("/b/c")]);
        assert_eq!(parse("<available_skills> unfinished"), None);
        assert_eq!(parse("nothing"), None);
    }

    #[test]
    fn a_location_may_be_the_file_itself() {
        let entry = Entry {
            name: "a".into(),
            location: Some("/s/a/SKILL.md".into()),
        };
        let first = entry.folders(Path::new("/b")).next();
        assert_eq!(first, Some(PathBuf::from("/s/a")));
    }
}
