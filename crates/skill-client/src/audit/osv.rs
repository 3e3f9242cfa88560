//! Advisories in the OSV format (schema 1.x): reading them, and deciding whether a version of a
//! skill is affected. What is about skills is read strictly, since a version that is skipped would
//! be a vulnerability that is not seen; what is about other things is none of our business.

use serde_json::Value;
use skill_format::{SkillName, Version, parse_version};

use super::packages::Affected;
use super::severity::{Level, level};
use crate::ecosystem::Ecosystem;

/// Skills' own ecosystem in advisories.
const SKILLS: &str = "skills";

/// One advisory, reduced to what an audit needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Advisory {
    pub id: String,
    /// Other names, such as the CVE number.
    pub aliases: Vec<String>,
    pub summary: String,
    pub url: Option<String>,
    pub withdrawn: bool,
    pub(super) level: Level,
    pub(super) skills: Vec<AffectedSkill>,
    pub(super) packages: Vec<Affected>,
}

/// Versions of one skill that are affected.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AffectedSkill {
    pub name: SkillName,
    versions: Vec<Version>,
    ranges: Vec<Vec<Event>>,
    pub level: Option<Level>,
}

/// A point at which a range begins or ends (schema, `affected[].ranges[].events[]`).
#[derive(Debug, Clone, PartialEq)]
enum Event {
    /// `None` is `0`: before everything.
    Introduced(Option<Version>),
    Fixed(Version),
    LastAffected(Version),
    Limit(Version),
}

/// Where an entry is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Such as `affected[0].ranges`.
    pub field: String,
    pub problem: String,
}

type Read<T> = Result<T, Mistake>;

fn mistake<T>(field: impl Into<String>, problem: impl Into<String>) -> Read<T> {
    Err(Mistake {
        field: field.into(),
        problem: problem.into(),
    })
}

/// Reads one entry.
pub(super) fn read_entry(entry: &Value) -> Read<Advisory> {
    if !entry.is_object() {
        return mistake("", "an advisory is a JSON object");
    }
    let Some(id) = text(entry, "id", "")? else {
        return mistake("id", "every advisory has one");
    };
    let mut skills = Vec::new();
    let mut packages = Vec::new();
    for (number, part) in list(entry, "affected", "")?.iter().enumerate() {
        let at = format!("affected[{number}]");
        // Without a package it is about commits of a repository.
        let Some(package) = part.get("package").filter(|package| !package.is_null()) else {
            continue;
        };
        let within = format!("{at}.package");
        let (Some(ecosystem), Some(name)) = (
            text(package, "ecosystem", &within)?,
            text(package, "name", &within)?,
        ) else {
            return mistake(within, "a package has `ecosystem` and `name`");
        };
        // An ecosystem may have a suffix, as in `Debian:12`.
        let ecosystem = ecosystem.split(':').next().unwrap_or_default();
        if ecosystem.eq_ignore_ascii_case(SKILLS) {
            skills.push(read_skill(&name, part, &at)?);
        } else if let Some(ecosystem) = Ecosystem::of_advisory(ecosystem) {
            packages.push(Affected::read(ecosystem, &name, part));
        }
    }
    let unsaid = if id.starts_with("MAL-") {
        Level::Critical
    } else {
        Level::Moderate
    };
    let summary = match text(entry, "summary", "")? {
        Some(summary) => summary,
        None => {
            text(entry, "details", "")?.map_or_else(|| "no summary".into(), |all| first_line(&all))
        }
    };
    Ok(Advisory {
        aliases: texts(entry, "aliases", "")?,
        summary,
        url: reference(entry),
        withdrawn: entry.get("withdrawn").is_some_and(|when| !when.is_null()),
        level: level(entry).unwrap_or(unsaid),
        skills,
        packages,
        id,
    })
}

fn read_skill(name: &str, part: &Value, at: &str) -> Read<AffectedSkill> {
    let Ok(name) = SkillName::parse(name) else {
        let field = format!("{at}.package.name");
        return mistake(field, format!("`{name}` is not a skill's name"));
    };
    let mut versions = Vec::new();
    for (number, version) in texts(part, "versions", at)?.iter().enumerate() {
        versions.push(version_of(version, &format!("{at}.versions[{number}]"))?);
    }
    let mut ranges = Vec::new();
    let written = list(part, "ranges", at)?;
    for (number, range) in written.iter().enumerate() {
        let within = format!("{at}.ranges[{number}]");
        match text(range, "type", &within)?.as_deref() {
            Some("SEMVER" | "ECOSYSTEM") => ranges.push(read_events(range, &within)?),
            // Commits of a repository say nothing about versions.
            Some("GIT") => {}
            _ => return mistake(format!("{within}.type"), "it is SEMVER, ECOSYSTEM or GIT"),
        }
    }
    if versions.is_empty() && written.is_empty() {
        return mistake(at, "it names neither `versions` nor `ranges`");
    }
    Ok(AffectedSkill {
        name,
        versions,
        ranges,
        level: level(part),
    })
}

fn read_events(range: &Value, at: &str) -> Read<Vec<Event>> {
    let mut events = Vec::new();
    for (number, event) in list(range, "events", at)?.iter().enumerate() {
        let within = format!("{at}.events[{number}]");
        let Some(event) = event.as_object().filter(|event| event.len() == 1) else {
            return mistake(within, "an event has one key and its version");
        };
        for (kind, version) in event {
            let field = format!("{within}.{kind}");
            let Some(version) = version.as_str() else {
                return mistake(field, "a version is a text");
            };
            let parsed = || version_of(version, &field);
            match kind.as_str() {
                "introduced" if version == "0" => events.push(Event::Introduced(None)),
                "introduced" => events.push(Event::Introduced(Some(parsed()?))),
                "fixed" => events.push(Event::Fixed(parsed()?)),
                "last_affected" => events.push(Event::LastAffected(parsed()?)),
                "limit" if version == "*" => {}
                "limit" => events.push(Event::Limit(parsed()?)),
                _ => {
                    return mistake(
                        field,
                        "an event is introduced, fixed, last_affected or limit",
                    );
                }
            }
        }
    }
    if !events
        .iter()
        .any(|event| matches!(event, Event::Introduced(_)))
    {
        return mistake(format!("{at}.events"), "nothing is `introduced`");
    }
    events.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(events)
}

fn version_of(text: &str, field: &str) -> Read<Version> {
    parse_version(text).or_else(|_| mistake(field, format!("`{text}` is not a version")))
}

impl Event {
    /// By version; at the same one a fix comes before a new beginning, and the last affected
    /// version after everything.
    fn order(&self) -> (Option<&Version>, u8) {
        match self {
            Self::Introduced(version) => (version.as_ref(), 1),
            Self::Fixed(version) => (Some(version), 0),
            Self::Limit(version) => (Some(version), 2),
            Self::LastAffected(version) => (Some(version), 3),
        }
    }
}

impl AffectedSkill {
    /// The schema's evaluation algorithm: listed, or inside a range.
    pub fn affects(&self, version: &Version) -> bool {
        let equal = |other: &Version| other.cmp_precedence(version).is_eq();
        self.versions.iter().any(equal) || self.ranges.iter().any(|events| within(events, version))
    }

    /// The lowest fixed version above `version`, if one is named.
    pub fn fixed_in(&self, version: &Version) -> Option<&Version> {
        self.ranges
            .iter()
            .flatten()
            .filter_map(|event| match event {
                Event::Fixed(fixed) if fixed > version => Some(fixed),
                _ => None,
            })
            .min()
    }
}

fn within(events: &[Event], version: &Version) -> bool {
    let reached = |point: &Version| version.cmp_precedence(point).is_ge();
    let limits: Vec<&Version> = events
        .iter()
        .filter_map(|event| match event {
            Event::Limit(limit) => Some(limit),
            _ => None,
        })
        .collect();
    if !limits.is_empty() && limits.iter().all(|limit| reached(limit)) {
        return false;
    }
    events.iter().fold(false, |affected, event| match event {
        Event::Introduced(None) => true,
        Event::Introduced(Some(first)) if reached(first) => true,
        Event::Fixed(fixed) if reached(fixed) => false,
        Event::LastAffected(last) if version.cmp_precedence(last).is_gt() => false,
        _ => affected,
    })
}

fn joined(within: &str, key: &str) -> String {
    if within.is_empty() {
        key.to_owned()
    } else {
        format!("{within}.{key}")
    }
}

/// A text that is there and not empty.
fn text(value: &Value, key: &str, within: &str) -> Read<Option<String>> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        }
        Some(_) => mistake(joined(within, key), "this is a text"),
    }
}

fn list<'a>(value: &'a Value, key: &str, within: &str) -> Read<&'a [Value]> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => mistake(joined(within, key), "this is a list"),
    }
}

fn texts(value: &Value, key: &str, within: &str) -> Read<Vec<String>> {
    let entries = list(value, key, within)?.iter().enumerate();
    entries
        .map(|(number, entry)| match entry.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => mistake(
                format!("{}[{number}]", joined(within, key)),
                "this is a text",
            ),
        })
        .collect()
}

fn first_line(text: &str) -> String {
    text.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim()
        .chars()
        .take(200)
        .collect()
}

/// The advisory's own page, else the first reference.
fn reference(entry: &Value) -> Option<String> {
    let references = entry.get("references")?.as_array()?;
    let advisory = references
        .iter()
        .find(|reference| reference.get("type").and_then(Value::as_str) == Some("ADVISORY"));
    let url = advisory
        .or_else(|| references.first())?
        .get("url")?
        .as_str()?;
    (url.starts_with("https://") || url.starts_with("http://")).then(|| url.to_owned())
}
