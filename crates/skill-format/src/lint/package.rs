//! What `skill.yaml` says of the package, against what is in it.

use crate::adapters::{self, Framework};
use crate::diagnostic::Diagnostic;
use crate::manifest::Manifest;
use crate::skill_yaml::SkillYaml;

use super::{Report, Subject};

/// Most tags that help anyone to find a skill.
const TAGS_MAX: usize = 20;
/// Longest tag, in characters.
const TAG_CHARS_MAX: usize = 30;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    if let Some(yaml) = subject.yaml {
        check_checksum(subject, yaml, report);
        check_frameworks(subject, yaml, report);
    }
    if let Some(manifest) = subject.manifest {
        check_dependencies(manifest, report);
        check_tags(manifest, report);
    }
    check_own_forms(subject, report);
    if subject.yaml.is_none() && subject.tree.get("skill.yml").is_some() {
        let message = "`skill.yml` is not read";
        report.other(
            "skill.yml",
            Diagnostic::warning("skill-yml", message).help("rename it to `skill.yaml`"),
        );
    }
}

fn check_checksum(subject: &Subject<'_>, yaml: &SkillYaml, report: &mut Report) {
    let Some(stated) = &yaml.checksum else { return };
    let actual = subject.tree.content_digest();
    if stated.value != actual {
        let message = format!(
            "the checksum is {}, but the files have {actual}",
            stated.value
        );
        report.yaml(
            Diagnostic::error("checksum-mismatch", message)
                .line(stated.line)
                .field("checksum")
                .help("remove it, or write the digest of the files as they are"),
        );
    }
}

fn check_frameworks(subject: &Subject<'_>, yaml: &SkillYaml, report: &mut Report) {
    for (i, framework) in yaml.frameworks.iter().enumerate() {
        let name = &framework.value.name;
        let path = format!("frameworks[{i}]");
        if name.parse::<Framework>().is_err() {
            let message = format!("`{name}` is no framework that skills are rendered for");
            report.yaml(
                Diagnostic::info("framework-unknown", message)
                    .line(framework.line)
                    .field(format!("{path}.name")),
            );
        }
        let file = framework.value.instructions_file.as_deref();
        let file = file.map(|file| file.trim_start_matches("./"));
        if let Some(file) = file.filter(|file| subject.tree.get(file).is_none()) {
            let message = format!("the file `{file}` for `{name}` does not exist");
            report.yaml(
                Diagnostic::error("framework-file-missing", message)
                    .line(framework.line)
                    .field(format!("{path}.instructions-file")),
            );
        }
    }
}

fn check_dependencies(manifest: &Manifest, report: &mut Report) {
    for (name, range) in &manifest.dependencies.skills {
        let field = format!("dependencies.{name}");
        if *name == manifest.name {
            let message = "the skill depends on itself";
            report.yaml(Diagnostic::error("dependency-on-itself", message).field(field));
        } else if range.intervals().is_empty() {
            let message = format!("no version can match the range `{range}` of `{name}`");
            report.yaml(Diagnostic::error("dependency-never-matches", message).field(field));
        }
    }
}

fn check_tags(manifest: &Manifest, report: &mut Report) {
    if manifest.tags.len() > TAGS_MAX {
        let message = format!(
            "there are {} tags; {TAGS_MAX} are enough",
            manifest.tags.len()
        );
        report.yaml(Diagnostic::warning("tags-too-many", message).field("tags"));
    }
    let is_odd = |tag: &&String| {
        tag.chars().count() > TAG_CHARS_MAX
            || tag
                .chars()
                .any(|c| c.is_uppercase() || c.is_whitespace() || c.is_control())
    };
    for tag in manifest.tags.iter().filter(is_odd).take(TAGS_MAX) {
        let message = format!("the tag `{tag}` will be hard to find");
        report.yaml(
            Diagnostic::warning("tag-odd", message)
                .field("tags")
                .help(format!(
                    "use at most {TAG_CHARS_MAX} lower-case letters, digits and hyphens"
                )),
        );
    }
}

/// The forms that the author wrote for single frameworks.
fn check_own_forms(subject: &Subject<'_>, report: &mut Report) {
    let named = subject.yaml.into_iter().flat_map(|yaml| &yaml.frameworks);
    let named = named.filter_map(|framework| framework.value.instructions_file.as_deref());
    let named = named
        .filter(|file| file.ends_with(".json"))
        .map(|file| file.trim_start_matches("./"));
    let mut paths: Vec<&str> = adapters::own_form_paths()
        .into_iter()
        .chain(named)
        .collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let Some(file) = subject.tree.get(path) else {
            continue;
        };
        match serde_json::from_slice::<serde_json::Value>(&file.bytes) {
            Err(error) => {
                let line = u32::try_from(error.line()).unwrap_or(0);
                let message = format!("this is not JSON, so the form is not used: {error}");
                report.other(
                    path,
                    Diagnostic::error("own-form-not-json", message).line(line),
                );
            }
            Ok(form) if path != adapters::ANTHROPIC_FORM && !adapters::holds_tools(&form) => {
                let message = "there is no tool in it, so the form is not used";
                let help = "write one tool, a list of tools, or `{\"tools\": […]}`";
                report.other(
                    path,
                    Diagnostic::warning("own-form-without-tools", message).help(help),
                );
            }
            Ok(_) => {}
        }
    }
}
