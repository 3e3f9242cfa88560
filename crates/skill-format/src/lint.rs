//! What a strict reader says about a skill: the Agent Skills specification, what a package needs
//! beyond it, and what makes a skill work less well than it could.
//!
//! Everything that reading overlooked is said again, as an error where the specification forbids
//! it. Rules are grouped by what they look at. To add one: a function in the file of its group,
//! called by its `check`, a code that no other rule has, and a case in `tests/it/lint.rs`.

mod body;
mod entrypoints;
mod hints;
mod links;
mod package;
mod permissions;
mod python;
mod secrets;
mod spec;

use crate::diagnostic::{Diagnostic, Severity};
use crate::manifest::Manifest;
use crate::merge::merge;
use crate::skill::{Parts, ReadOptions};
use crate::skill_md::SkillMd;
use crate::skill_yaml::SkillYaml;
use crate::tree::{SKILL_MD, SKILL_YAML, SkillTree};

pub use secrets::{SECRET_FILE, secret_files};

/// Checks a skill strictly. `folder_name` is the name of the folder it lies in, if it lies in one.
///
/// The remarks are ordered by file and line. Only errors break the specification.
pub fn lint(tree: &SkillTree, folder_name: Option<&str>) -> Vec<Diagnostic> {
    let options = ReadOptions {
        folder_name: folder_name.map(str::to_owned),
        version: None,
    };
    let Parts {
        md,
        yaml,
        mut remarks,
    } = Parts::read(tree);
    let manifest = md.as_ref().and_then(|md| {
        let (manifest, merge_remarks) = merge(md, yaml.as_ref(), tree, &options);
        remarks.extend(merge_remarks);
        manifest
    });
    for remark in &mut remarks {
        remark.severity = strict_severity(remark);
    }
    let mut report = Report { remarks };
    let subject = Subject {
        tree,
        md: md.as_ref(),
        yaml: yaml.as_ref(),
        manifest: manifest.as_ref(),
    };
    spec::check(&subject, &mut report);
    body::check(&subject, &mut report);
    links::check(&subject, &mut report);
    package::check(&subject, &mut report);
    entrypoints::check(&subject, &mut report);
    permissions::check(&subject, &mut report);
    python::check(&subject, &mut report);
    hints::check(&subject, &mut report);
    secrets::check(&subject, &mut report);
    report.into_sorted()
}

/// What the rules look at.
struct Subject<'a> {
    tree: &'a SkillTree,
    md: Option<&'a SkillMd>,
    yaml: Option<&'a SkillYaml>,
    /// `None` where the skill has no usable name or description.
    manifest: Option<&'a Manifest>,
}

/// What the rules say.
struct Report {
    remarks: Vec<Diagnostic>,
}

impl Report {
    fn md(&mut self, remark: Diagnostic) {
        self.remarks.push(remark.file(SKILL_MD));
    }

    fn yaml(&mut self, remark: Diagnostic) {
        self.remarks.push(remark.file(SKILL_YAML));
    }

    fn other(&mut self, file: &str, remark: Diagnostic) {
        self.remarks.push(remark.file(file));
    }

    /// `SKILL.md` first, then by path; within a file by line.
    fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.remarks.sort_by(|a, b| {
            let key = |remark: &Diagnostic| {
                (
                    remark.file.as_deref() != Some(SKILL_MD),
                    remark.file.clone(),
                    remark.line,
                )
            };
            key(a).cmp(&key(b))
        });
        self.remarks
    }
}

/// How much a remark of the lenient reader weighs by the specification.
fn strict_severity(remark: &Diagnostic) -> Severity {
    let in_skill_md = remark.file.as_deref() == Some(SKILL_MD);
    match remark.code {
        "name-missing"
        | "name-too-long"
        | "name-character"
        | "name-edge-hyphen"
        | "name-double-hyphen"
        | "name-folder-mismatch"
        | "description-missing" => Severity::Error,
        "frontmatter-not-first" | "yaml-unquoted" | "yaml-tab" => Severity::Error,
        "field-unknown"
        | "field-spelling"
        | "field-type"
        | "allowed-tools-not-text"
        | "metadata-not-text"
            if in_skill_md =>
        {
            Severity::Error
        }
        "manifest-mismatch" if remark.field.as_deref() == Some("name") => Severity::Error,
        _ => remark.severity,
    }
}
