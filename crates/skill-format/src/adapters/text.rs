//! What a model reads: the catalogue of skills at the start, and a skill's instructions once it
//! is activated (Agent Skills client guide, disclosure in three steps).

use crate::skill::Skill;

use super::RenderOptions;

/// Most files that an activated skill lists; the rest are counted.
const LISTED_FILES_MAX: usize = 100;

/// The catalogue: name and description of each skill, and where it lies if that is known.
///
/// About 50 to 100 tokens for each skill.
pub fn catalogue(skills: &[&Skill], options: &RenderOptions<'_>) -> String {
    let mut text = String::from("<available_skills>\n");
    for skill in skills {
        text.push_str("  <skill>\n");
        element(&mut text, "name", skill.manifest.name.as_str());
        element(&mut text, "description", &skill.manifest.description);
        if let Some(path) = options.path_of(skill) {
            element(&mut text, "location", &format!("{path}/SKILL.md"));
        }
        text.push_str("  </skill>\n");
    }
    text.push_str("</available_skills>");
    text
}

fn element(text: &mut String, tag: &str, content: &str) {
    text.push_str(&format!("    <{tag}>{}</{tag}>\n", escape(content)));
}

/// An activated skill: its instructions, where its files lie, and which there are.
pub fn skill_content(skill: &Skill, path: Option<&str>) -> String {
    let mut text = format!("<skill_content name=\"{}\">\n", skill.manifest.name);
    // The instructions are Markdown and stay as they are, except that they must not end the
    // element that tells them from the rest of the conversation.
    text.push_str(neutralise(&skill.body).trim());
    text.push('\n');
    if let Some(path) = path {
        let path = neutralise(path);
        text.push_str(&format!(
            "\nSkill directory: {path}\nRelative paths in this skill are relative to the skill directory.\n"
        ));
    }
    let files = resources(skill);
    if !files.is_empty() {
        text.push_str("\n<skill_resources>\n");
        for file in files.iter().take(LISTED_FILES_MAX) {
            text.push_str(&format!("  <file>{}</file>\n", escape(file)));
        }
        let more = files.len().saturating_sub(LISTED_FILES_MAX);
        if more > 0 {
            text.push_str(&format!("  <!-- and {more} more -->\n"));
        }
        text.push_str("</skill_resources>\n");
    }
    text.push_str("</skill_content>");
    text
}

/// Files that the instructions may refer to: everything but what describes the package.
pub(super) fn resources(skill: &Skill) -> Vec<&str> {
    let about_package =
        |path: &str| matches!(path, "SKILL.md" | "skill.yaml") || path.starts_with(".skill/");
    let paths = skill.tree.iter().map(|(path, _)| path);
    paths.filter(|path| !about_package(path)).collect()
}

fn neutralise(text: &str) -> String {
    text.replace("</skill_content", "&lt;/skill_content")
        .replace("<skill_content", "&lt;skill_content")
}

/// Text inside an element. Control characters, which XML does not have, are left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
