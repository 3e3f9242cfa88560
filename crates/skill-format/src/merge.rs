//! From what `SKILL.md` and `skill.yaml` say to one manifest: `skill.yaml` wins, what only one of
//! them says is taken, and what neither says is derived where it can be.

use semver::Version;

use crate::diagnostic::{Diagnostic, Severity};
use crate::explain::Explain;
use crate::fields::{Located, Remarks};
use crate::manifest::{Entrypoint, Manifest};
use crate::name::SkillName;
use crate::skill::ReadOptions;
use crate::skill_md::SkillMd;
use crate::skill_yaml::SkillYaml;
use crate::tree::{SKILL_MD, SKILL_YAML, SkillTree};
use crate::version::{complete, parse_version};

/// Scripts that are entry points without being declared, the first of them wins (the seeds'
/// SkillScale looks for the shell script first).
pub(crate) const DEFAULT_SCRIPTS: [&str; 4] = [
    "scripts/run.sh",
    "scripts/run.py",
    "scripts/run.js",
    "scripts/run.wasm",
];

/// The manifest, or `None` where no name or no description can be found; the remarks say why.
pub(crate) fn merge(
    md: &SkillMd,
    yaml: Option<&SkillYaml>,
    tree: &SkillTree,
    options: &ReadOptions,
) -> (Option<Manifest>, Vec<Diagnostic>) {
    let nothing = SkillYaml::default();
    let mut merger = Merger {
        md,
        yaml: yaml.unwrap_or(&nothing),
        md_remarks: Remarks::new(SKILL_MD, Severity::Warning),
        yaml_remarks: Remarks::new(SKILL_YAML, Severity::Warning),
    };
    let manifest = merger.manifest(tree, options);
    let mut remarks = merger.md_remarks.into_list();
    remarks.extend(merger.yaml_remarks.into_list());
    (manifest, remarks)
}

struct Merger<'a> {
    md: &'a SkillMd,
    yaml: &'a SkillYaml,
    md_remarks: Remarks,
    yaml_remarks: Remarks,
}

impl Merger<'_> {
    fn manifest(&mut self, tree: &SkillTree, options: &ReadOptions) -> Option<Manifest> {
        let (md, yaml) = (self.md, self.yaml);
        let name = self.name(options.folder_name.as_deref());
        let description = self.description();
        let version = self.version(options);
        let manifest = Manifest {
            name: name?,
            version,
            description: description?,
            author: self.text("author", &yaml.author, &md.author, Severity::Info),
            license: self.text("license", &yaml.license, &md.license, Severity::Warning),
            repository: self.address("repository", &yaml.repository, &md.repository),
            homepage: self.address("homepage", &yaml.homepage, &md.homepage),
            tags: if yaml.tags.is_empty() {
                unique(&md.tags)
            } else {
                unique(&yaml.tags)
            },
            capabilities: unique(&yaml.capabilities),
            frameworks: yaml.frameworks.iter().map(|f| f.value.clone()).collect(),
            dependencies: yaml.dependencies.clone(),
            checksum: yaml.checksum.as_ref().map(|checksum| checksum.value),
            signing: yaml.signing.hint(),
            permissions: yaml.permissions.value.clone(),
            entrypoints: self.entrypoints(tree),
            compatibility: self
                .text(
                    "compatibility",
                    &yaml.compatibility,
                    &md.compatibility,
                    Severity::Info,
                )
                .filter(|text| !text.is_empty()),
            allowed_tools: if yaml.allowed_tools.is_empty() {
                md.allowed_tools.clone()
            } else {
                yaml.allowed_tools.clone()
            },
            metadata: {
                let mut metadata = md.metadata.clone();
                metadata.extend(yaml.metadata.clone());
                metadata
            },
        };
        Some(manifest)
    }

    /// The name of `skill.yaml`, of `SKILL.md`, or of the folder.
    fn name(&mut self, folder: Option<&str>) -> Option<SkillName> {
        let in_yaml = self.yaml.name.as_ref();
        let in_md = self.md.name.as_ref();
        let from_yaml = in_yaml.and_then(|name| parse_name(name, &mut self.yaml_remarks));
        let from_md = in_md.and_then(|name| parse_name(name, &mut self.md_remarks));
        if in_md.is_none() {
            let found =
                from_yaml.is_some() || folder.is_some_and(|name| SkillName::parse(name).is_ok());
            let severity = if found {
                Severity::Warning
            } else {
                Severity::Error
            };
            self.md_remarks.push(
                Diagnostic::new(severity, "name-missing", "there is no `name`")
                    .line(1)
                    .field("name")
                    .help("add `name:` with the name of the skill's folder"),
            );
        }
        if let (Some(yaml), Some(md)) = (&from_yaml, &from_md) {
            self.difference(
                "name",
                (yaml.as_str(), in_yaml),
                (md.as_str(), in_md),
                Severity::Warning,
            );
        }
        // Two names: which of them the folder should have is not clear before they are one.
        let is_one = from_yaml.is_none() || from_md.is_none() || from_yaml == from_md;
        let has_wrong_name = in_yaml.is_some() || in_md.is_some();
        let name = from_yaml.or(from_md).or_else(|| {
            let folder = folder.filter(|_| !has_wrong_name)?;
            SkillName::parse(folder).ok()
        })?;
        self.compare_with_folder(&name, folder.filter(|_| is_one));
        Some(name)
    }

    fn compare_with_folder(&mut self, name: &SkillName, folder: Option<&str>) {
        let Some(folder) = folder.filter(|folder| *folder != name.as_str()) else {
            return;
        };
        let line = self.md.name.as_ref().map_or(0, |name| name.line);
        let message = format!("the skill is named `{name}`, its folder `{folder}`");
        self.md_remarks.push(
            Diagnostic::warning("name-folder-mismatch", message)
                .line(line)
                .field("name")
                .help("give both the same name"),
        );
    }

    fn description(&mut self) -> Option<String> {
        let (md, yaml) = (self.md, self.yaml);
        let severity = if yaml.description.is_some() {
            Severity::Warning
        } else {
            Severity::Error
        };
        if md.description.is_none() {
            self.md_remarks.push(
                Diagnostic::new(severity, "description-missing", "there is no `description`")
                    .line(1)
                    .field("description")
                    .help("say in one or two sentences what the skill does and when to use it"),
            );
        }
        self.text(
            "description",
            &yaml.description,
            &md.description,
            Severity::Info,
        )
    }

    /// The version of the options, of `skill.yaml`, or of `SKILL.md`.
    fn version(&mut self, options: &ReadOptions) -> Option<Version> {
        let in_md = self.md.version.as_ref();
        let from_md = in_md.and_then(|version| parse_lenient(version, &mut self.md_remarks));
        let in_yaml = self.yaml.version.as_ref();
        if let (Some(yaml), Some(md)) = (in_yaml, &from_md) {
            let at = Located {
                value: String::new(),
                line: yaml.line,
            };
            let (yaml, md) = (yaml.value.to_string(), md.to_string());
            self.difference(
                "version",
                (&yaml, Some(&at)),
                (&md, in_md),
                Severity::Warning,
            );
        }
        let stated = in_yaml.map(|version| version.value.clone()).or(from_md);
        options.version.clone().or(stated)
    }

    /// A text that both files may have; `severity` says how much a difference weighs.
    fn text(
        &mut self,
        field: &'static str,
        yaml: &Option<Located<String>>,
        md: &Option<Located<String>>,
        severity: Severity,
    ) -> Option<String> {
        if let (Some(in_yaml), Some(in_md)) = (yaml, md) {
            let of_yaml = (in_yaml.value.as_str(), Some(in_yaml));
            self.difference(field, of_yaml, (&in_md.value, Some(in_md)), severity);
        }
        yaml.as_ref().or(md.as_ref()).map(|text| text.value.clone())
    }

    /// An address that people will follow: anything but a web or git address is dropped.
    fn address(
        &mut self,
        field: &'static str,
        yaml: &Option<Located<String>>,
        md: &Option<Located<String>>,
    ) -> Option<String> {
        let address = self.text(field, yaml, md, Severity::Info)?;
        if is_address(&address, field == "repository") {
            return Some(address);
        }
        let (remarks, at) = match yaml {
            Some(text) => (&mut self.yaml_remarks, text),
            None => (&mut self.md_remarks, md.as_ref()?),
        };
        remarks.push(
            Diagnostic::warning(
                "address-malformed",
                format!("`{field}` is not a web address and was ignored"),
            )
            .line(at.line)
            .field(field)
            .help("write an address that begins with `https://`"),
        );
        None
    }

    fn difference(
        &mut self,
        field: &'static str,
        (yaml, at): (&str, Option<&Located<String>>),
        (md, _): (&str, Option<&Located<String>>),
        severity: Severity,
    ) {
        if yaml == md {
            return;
        }
        let message = if yaml.len() + md.len() < 100 {
            format!("`{field}` is `{yaml}` here and `{md}` in {SKILL_MD}; this one counts")
        } else {
            format!("`{field}` differs from the one in {SKILL_MD}; this one counts")
        };
        self.yaml_remarks.push(
            Diagnostic::new(severity, "manifest-mismatch", message)
                .line(at.map_or(0, |at| at.line))
                .field(field)
                .help("state it in one file only, or alike in both"),
        );
    }

    fn entrypoints(&self, tree: &SkillTree) -> Vec<Entrypoint> {
        if let Some(declared) = &self.yaml.entrypoints {
            return declared
                .iter()
                .map(|entrypoint| entrypoint.value.clone())
                .collect();
        }
        let script = DEFAULT_SCRIPTS.iter().find(|path| tree.get(path).is_some());
        let derived = script.map(|path| Entrypoint {
            name: "run".into(),
            command: (*path).to_owned(),
            description: None,
            input_schema: None,
            output_schema: None,
            idempotent: false,
            timeout_seconds: None,
        });
        derived.into_iter().collect()
    }
}

/// A name as written, or the nearest correct one with a warning.
fn parse_name(text: &Located<String>, remarks: &mut Remarks) -> Option<SkillName> {
    let error = match SkillName::parse(&text.value) {
        Ok(name) => return Some(name),
        Err(error) => error,
    };
    let nearest = SkillName::nearest(&text.value);
    let severity = if nearest.is_some() {
        Severity::Warning
    } else {
        Severity::Error
    };
    let mut remark = Diagnostic::new(severity, error.code(), error.to_string());
    remark.help = error.help();
    if let Some(nearest) = &nearest {
        remark.message += &format!("; it was read as `{nearest}`");
        remark.help = Some(format!("write `{nearest}`"));
    }
    remarks.push(remark.line(text.line).field("name"));
    nearest
}

/// A version in `SKILL.md`, where it is free text: `1.10` is 1.10.0, and `draft` is none.
fn parse_lenient(text: &Located<String>, remarks: &mut Remarks) -> Option<Version> {
    let error = match parse_version(&text.value) {
        Ok(version) => return Some(version),
        Err(error) => error,
    };
    remarks.push_error(Severity::Warning, &error, text.line, "version");
    complete(&text.value)
}

fn unique(texts: &[Located<String>]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for text in texts {
        if !unique.contains(&text.value) {
            unique.push(text.value.clone());
        }
    }
    unique
}

/// Whether an address can be followed without harm: `javascript:` and the like would end in a
/// page's link.
fn is_address(text: &str, may_be_git: bool) -> bool {
    const WEB: &[&str] = &["https://", "http://"];
    const GIT: &[&str] = &["git://", "ssh://", "git+https://", "git+ssh://", "git@"];
    let begins = |schemes: &[&str]| {
        schemes
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
    };
    let printable = !text
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || "<>\"`".contains(c));
    printable && (begins(WEB) || may_be_git && begins(GIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_can_be_followed_without_harm_are_kept() {
        assert!(is_address("https://example.com/a?b=c", false));
        assert!(is_address("git@example.com:a/b.git", true));
        assert!(!is_address("git@example.com:a/b.git", false));
        for bad in [
            "javascript:alert(1)",
            "https://",
            "example.com",
            "https://a b",
            "https://a\"onclick=",
        ] {
            assert!(!is_address(bad, true), "{bad}");
        }
    }
}
