//! The fields of `SKILL.md` against the specification's limits.

use crate::diagnostic::Diagnostic;
use crate::fields::Located;
use crate::name::is_reserved;
use crate::skill_md::SkillMd;

use super::{Report, Subject};

/// Longest description, in characters (specification, field `description`).
const DESCRIPTION_CHARS_MAX: usize = 1024;
/// Longest compatibility note, in characters (specification, field `compatibility`).
const COMPATIBILITY_CHARS_MAX: usize = 500;
/// Longest catalogue entry, in tokens (specification, progressive disclosure). Every skill costs
/// as much in every conversation.
const CATALOGUE_TOKENS_MAX: usize = 100;
/// Characters of a token in English prose, for an estimate.
pub(super) const TOKEN_CHARS: usize = 4;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Some(md) = subject.md else { return };
    check_name(subject, md, report);
    if let Some(description) = &md.description {
        check_description(description, report);
        check_catalogue_entry(md, description, report);
    }
    if let Some(compatibility) = &md.compatibility {
        check_compatibility(compatibility, report);
    }
    check_license(subject, md, report);
    if subject
        .manifest
        .is_some_and(|manifest| manifest.version.is_none())
    {
        report.md(
            Diagnostic::info("version-missing", "the skill states no version")
                .line(1)
                .field("metadata.version")
                .help("add `metadata.version`, or give the version when you publish"),
        );
    }
}

fn check_name(subject: &Subject<'_>, md: &SkillMd, report: &mut Report) {
    let Some(manifest) = subject.manifest else {
        return;
    };
    let name = manifest.name.as_str();
    let line = md.name.as_ref().map_or(1, |name| name.line);
    if is_reserved(name) {
        let message = format!("the name `{name}` is reserved: no registry takes it");
        report.md(Diagnostic::warning("name-reserved", message)
            .line(line)
            .field("name")
            .help("choose another name"));
    } else if name
        .split('-')
        .any(|word| matches!(word, "claude" | "anthropic"))
    {
        let message =
            format!("the name `{name}` contains a word that the Claude API does not accept");
        report.md(Diagnostic::info("name-vendor-word", message)
            .line(line)
            .field("name"));
    }
}

fn check_description(description: &Located<String>, report: &mut Report) {
    let text = &description.value;
    let remark = |remark: Diagnostic| remark.line(description.line).field("description");
    let chars = text.chars().count();
    if chars > DESCRIPTION_CHARS_MAX {
        let message = format!(
            "the description has {chars} characters, more than the {DESCRIPTION_CHARS_MAX} that are allowed"
        );
        report.md(remark(
            Diagnostic::error("description-too-long", message)
                .help("say what the skill does and when to use it; move the rest into the body"),
        ));
    }
    if has_markup(text) {
        let message = "the description contains a tag, which some clients refuse and others take for their own";
        report.md(remark(
            Diagnostic::warning("description-markup", message).help("write it as plain text"),
        ));
    }
    if let Some(hidden) = text.chars().find(|c| is_hidden(*c)) {
        let message = format!(
            "the description contains the invisible character U+{:04X}",
            hidden as u32
        );
        report.md(remark(
            Diagnostic::warning("description-hidden-character", message).help("remove it"),
        ));
    }
}

fn check_catalogue_entry(md: &SkillMd, description: &Located<String>, report: &mut Report) {
    let name_chars = md
        .name
        .as_ref()
        .map_or(0, |name| name.value.chars().count());
    let chars = name_chars + description.value.chars().count();
    let tokens = chars.div_ceil(TOKEN_CHARS);
    // Beyond the specification's limit, an error has been given already.
    if tokens > CATALOGUE_TOKENS_MAX && description.value.chars().count() <= DESCRIPTION_CHARS_MAX {
        let message = format!(
            "name and description take about {tokens} tokens of every conversation; {CATALOGUE_TOKENS_MAX} are usual"
        );
        report.md(Diagnostic::info("catalogue-entry-long", message)
            .line(description.line)
            .field("description")
            .help("shorten the description; details belong into the body"));
    }
}

fn check_compatibility(compatibility: &Located<String>, report: &mut Report) {
    let chars = compatibility.value.chars().count();
    let remark = |remark: Diagnostic| remark.line(compatibility.line).field("compatibility");
    if chars == 0 {
        let message = "`compatibility` is empty";
        report.md(remark(
            Diagnostic::error("compatibility-empty", message)
                .help("remove it, or say what is needed"),
        ));
    } else if chars > COMPATIBILITY_CHARS_MAX {
        let message = format!(
            "`compatibility` has {chars} characters, more than the {COMPATIBILITY_CHARS_MAX} that are allowed"
        );
        report.md(remark(
            Diagnostic::error("compatibility-too-long", message).help("move details into the body"),
        ));
    }
}

fn check_license(subject: &Subject<'_>, md: &SkillMd, report: &mut Report) {
    if subject
        .manifest
        .is_none_or(|manifest| manifest.license.is_some())
    {
        return;
    }
    let file = subject
        .tree
        .iter()
        .map(|(path, _)| path)
        .find(|path| is_license_file(path));
    let help = match file {
        Some(path) => format!("add `license: {path}`, or the SPDX expression of the licence"),
        None => "add `license:` with an SPDX expression such as `MIT`".to_owned(),
    };
    let line = md.name.as_ref().map_or(1, |name| name.line);
    report.md(
        Diagnostic::info("license-missing", "the skill names no licence")
            .line(line)
            .field("license")
            .help(help),
    );
}

fn is_license_file(path: &str) -> bool {
    let stem = path.split('.').next().unwrap_or(path);
    !path.contains('/')
        && matches!(
            stem.to_ascii_uppercase().as_str(),
            "LICENSE" | "LICENCE" | "COPYING"
        )
}

/// `<` followed by a name or a slash, and a `>` after it.
fn has_markup(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| {
        let rest = &text[at + 1..];
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && rest.contains('>')
    })
}

/// Characters that a reader does not see but a model does: bidirectional controls, zero-width
/// characters, tags.
pub(super) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
        || c.is_control() && c != '\n' && c != '\t'
}
