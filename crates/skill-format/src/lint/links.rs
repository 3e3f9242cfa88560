//! Files that the instructions refer to: they are there, inside the skill, and one step away.

mod mentions;

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::tree::{SKILL_MD, SkillTree};

use super::{Report, Subject};
use mentions::{Mention, mentions};

/// Most files that are searched for further links.
const FILES_MAX: usize = 100;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Some(md) = subject.md else { return };
    let tree = subject.tree;
    let mut linked = BTreeSet::new();
    for mention in mentions(&md.body, md.body_line) {
        let Some(path) = check_mention(tree, SKILL_MD, "", &mention, report) else {
            continue;
        };
        // More than one folder: `references/a.md` is one level deep, `references/b/a.md` two.
        if mention.is_link && path.matches('/').count() > 1 && !linked.contains(&path) {
            let message = format!("`{path}` is more than one level deep");
            report.md(Diagnostic::info("reference-deep", message)
                .line(mention.line)
                .help("keep referenced files one folder below SKILL.md"));
        }
        linked.insert(path);
    }
    for path in linked
        .iter()
        .filter(|path| path.ends_with(".md"))
        .take(FILES_MAX)
    {
        check_chain(tree, path, &linked, report);
    }
}

/// Says so if the file is missing or outside; else gives its path.
fn check_mention(
    tree: &SkillTree,
    file: &str,
    folder: &str,
    mention: &Mention<'_>,
    report: &mut Report,
) -> Option<String> {
    let target = mention.target;
    let Some(path) = resolve(folder, target) else {
        let message = format!(
            "`{target}` lies outside of the skill and will not be there once it is installed"
        );
        report.other(
            file,
            Diagnostic::warning("reference-outside", message)
                .line(mention.line)
                .help("copy the file into the skill"),
        );
        return None;
    };
    if path.is_empty() || exists(tree, &path) {
        return Some(path).filter(|path| !path.is_empty());
    }
    let message = format!("`{path}` does not exist");
    report.other(
        file,
        Diagnostic::warning("reference-missing", message)
            .line(mention.line)
            .help("correct the path, or add the file"),
    );
    None
}

/// A reference of a reference is found only by an agent that reads on: SKILL.md should name it.
fn check_chain(tree: &SkillTree, path: &str, linked: &BTreeSet<String>, report: &mut Report) {
    let Some(text) = tree
        .get(path)
        .and_then(|file| std::str::from_utf8(&file.bytes).ok())
    else {
        return;
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut seen = BTreeSet::new();
    for mention in mentions(text, 1)
        .into_iter()
        .filter(|mention| mention.is_link)
    {
        let Some(next) = check_mention(tree, path, folder, &mention, report) else {
            continue;
        };
        let known = next == SKILL_MD || next == path || linked.contains(&next);
        if !known && next.ends_with(".md") && seen.insert(next.clone()) {
            let message = format!("`{next}` is referred to here, but not in SKILL.md");
            report.other(
                path,
                Diagnostic::warning("reference-chain", message)
                    .line(mention.line)
                    .help("link it in SKILL.md: agents follow references one level deep"),
            );
        }
    }
}

fn exists(tree: &SkillTree, path: &str) -> bool {
    let folder = format!("{path}/");
    tree.get(path).is_some() || tree.iter().any(|(other, _)| other.starts_with(&folder))
}

/// The path that `target` names from `folder`; `None` if it leads out of the skill.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_resolved_from_their_folder() {
        assert_eq!(resolve("", "./a/b.md"), Some("a/b.md".into()));
        assert_eq!(
            resolve("references", "../assets/x"),
            Some("assets/x".into())
        );
        assert_eq!(resolve("references", "../../x"), None);
        assert_eq!(resolve("a", ".."), Some(String::new()));
    }
}
