//! The fields of `skill.yaml`, the package manager's own file beside `SKILL.md`.
//!
//! Unlike `SKILL.md` it has no other readers to please: a field of the wrong kind is an error,
//! since a dependency or a permission that is overlooked does harm. Unknown fields are warned of.

mod dependencies;
mod entrypoints;
mod permissions;

use std::collections::BTreeMap;

use semver::Version;

use crate::diagnostic::{Diagnostic, Severity};
use crate::digest::Sha256;
use crate::fields::{Fields, Located, Remarks, text_of};
use crate::manifest::{Dependencies, Entrypoint, FrameworkSupport, Permissions, SigningHint};
use crate::skill_md::split_tools;
use crate::tree::SKILL_YAML;
use crate::version::{complete, parse_version};
use crate::yaml::{self, Mapping, Value};

/// Largest file, in bytes. Schemas make the longest; 64 KiB is a long one.
const BYTES_MAX: usize = 1 << 20;

/// What `skill.yaml` says.
#[derive(Debug, Default)]
pub(crate) struct SkillYaml {
    pub name: Option<Located<String>>,
    pub version: Option<Located<Version>>,
    pub description: Option<Located<String>>,
    pub author: Option<Located<String>>,
    pub license: Option<Located<String>>,
    pub repository: Option<Located<String>>,
    pub homepage: Option<Located<String>>,
    pub tags: Vec<Located<String>>,
    pub capabilities: Vec<Located<String>>,
    pub frameworks: Vec<Located<FrameworkSupport>>,
    pub dependencies: Dependencies,
    pub checksum: Option<Located<Sha256>>,
    pub signing: Signing,
    pub permissions: Located<Permissions>,
    /// `None` where the file does not speak of entry points at all.
    pub entrypoints: Option<Vec<Located<Entrypoint>>>,
    pub compatibility: Option<Located<String>>,
    pub allowed_tools: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

/// What `skill.yaml` says of signatures.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    pub algorithm: Option<Located<String>>,
    pub public_key_id: Option<Located<String>>,
    is_stated: bool,
}

impl Signing {
    /// As the manifest has it; `None` where the file does not speak of it.
    pub fn hint(&self) -> Option<SigningHint> {
        let text = |text: &Option<Located<String>>| text.as_ref().map(|text| text.value.clone());
        self.is_stated.then(|| SigningHint {
            algorithm: text(&self.algorithm),
            public_key_id: text(&self.public_key_id),
        })
    }
}

/// Reads `skill.yaml`. `None` if it is no map of fields, with the reason among the remarks.
pub(crate) fn read(bytes: &[u8]) -> (Option<SkillYaml>, Vec<Diagnostic>) {
    let refuse = |error: Diagnostic| (None, vec![error.file(SKILL_YAML)]);
    if bytes.len() > BYTES_MAX {
        let message = format!(
            "the file has {} bytes, more than the {BYTES_MAX} that are allowed",
            bytes.len()
        );
        return refuse(Diagnostic::error("skill-yaml-too-large", message));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|b| **b == b'\n').count();
            let error = Diagnostic::error("skill-yaml-not-utf8", "the file is not UTF-8");
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            return refuse(error.line(line).help("save the file as UTF-8"));
        }
    };
    let node = match yaml::parse(text, 1) {
        Ok(node) => node,
        Err(error) => return refuse(Diagnostic::of_error(&error)),
    };
    let mut remarks = Remarks::new(SKILL_YAML, Severity::Error);
    let skill_yaml = match &node.value {
        Value::Mapping(mapping) => read_fields(mapping, &mut remarks),
        _ if node.is_null() => SkillYaml::default(),
        _ => {
            let message = format!("the file is {}, not a map of fields", node.kind());
            return refuse(Diagnostic::error("skill-yaml-not-a-map", message).line(node.line));
        }
    };
    (Some(skill_yaml), remarks.into_list())
}

fn read_fields(mapping: &Mapping, remarks: &mut Remarks) -> SkillYaml {
    let mut fields = Fields::new(mapping, "");
    let skill_yaml = SkillYaml {
        name: fields.text("name", remarks),
        version: version(&mut fields, remarks),
        description: fields.text("description", remarks),
        author: fields.text("author", remarks),
        license: fields.text("license", remarks),
        repository: fields.text("repository", remarks),
        homepage: fields.text("homepage", remarks),
        tags: fields.texts("tags", remarks),
        capabilities: fields.texts("capabilities", remarks),
        frameworks: frameworks(&mut fields, remarks),
        dependencies: dependencies::read(&mut fields, remarks),
        checksum: checksum(&mut fields, remarks),
        signing: signing(&mut fields, remarks),
        permissions: permissions::read(&mut fields, remarks),
        entrypoints: entrypoints::read(&mut fields, remarks),
        compatibility: fields.text("compatibility", remarks),
        allowed_tools: fields
            .text("allowed-tools", remarks)
            .map(|text| split_tools(&text.value))
            .unwrap_or_default(),
        metadata: metadata(&mut fields, remarks),
    };
    fields.warn_of_unknown(remarks);
    skill_yaml
}

/// A version with missing numbers is completed with a remark: `1.10` is 1.10.0, never 1.1.
fn version(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Option<Located<Version>> {
    let Located { value: text, line } = fields.text("version", remarks)?;
    let version = parse_version(&text).or_else(|error| {
        let completed = complete(&text);
        let severity = if completed.is_some() {
            Severity::Warning
        } else {
            Severity::Error
        };
        remarks.push_error(severity, &error, line, "version");
        completed.ok_or(error)
    });
    version.ok().map(|value| Located { value, line })
}

fn frameworks(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Vec<Located<FrameworkSupport>> {
    let Some(entry) = fields.entry("frameworks", remarks) else {
        return Vec::new();
    };
    let Value::Sequence(items) = &entry.value.value else {
        remarks.wrong_kind(&entry.value, "frameworks", "a list");
        return Vec::new();
    };
    let mut frameworks = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("frameworks[{i}]");
        let framework = match &item.value {
            Value::Mapping(mapping) => framework(mapping, &path, item.line, remarks),
            _ => text_of(item, &path, remarks).map(|text| FrameworkSupport {
                name: text.value,
                compatibility: None,
                instructions_file: None,
            }),
        };
        let line = item.line;
        frameworks.extend(framework.map(|value| Located { value, line }));
    }
    frameworks
}

fn framework(
    mapping: &Mapping,
    path: &str,
    line: u32,
    remarks: &mut Remarks,
) -> Option<FrameworkSupport> {
    let mut fields = Fields::new(mapping, path);
    let name = fields.text("name", remarks);
    let framework = FrameworkSupport {
        name: name
            .as_ref()
            .map(|name| name.value.clone())
            .unwrap_or_default(),
        compatibility: fields.text("compatibility", remarks).map(|text| text.value),
        instructions_file: fields
            .text("instructions-file", remarks)
            .map(|text| text.value),
    };
    fields.warn_of_unknown(remarks);
    if name.is_none() {
        remarks.push(missing(path, "name", line));
        return None;
    }
    Some(framework)
}

fn checksum(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Option<Located<Sha256>> {
    let text = fields.text("checksum", remarks)?;
    match text.value.parse() {
        Ok(value) => Some(Located {
            value,
            line: text.line,
        }),
        Err(error) => {
            remarks.push_error(Severity::Warning, &error, text.line, "checksum");
            None
        }
    }
}

fn signing(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Signing {
    let Some(mapping) = fields.mapping("signing", remarks) else {
        return Signing::default();
    };
    let mut fields = Fields::new(mapping, "signing");
    let signing = Signing {
        algorithm: fields.text("algorithm", remarks),
        public_key_id: fields.text("public-key-id", remarks),
        is_stated: true,
    };
    fields.warn_of_unknown(remarks);
    signing
}

fn metadata(fields: &mut Fields<'_>, remarks: &mut Remarks) -> BTreeMap<String, String> {
    let Some(mapping) = fields.mapping("metadata", remarks) else {
        return BTreeMap::new();
    };
    let texts = mapping.entries.iter().map(|entry| {
        let text = match &entry.value.value {
            Value::Scalar(scalar) if scalar.is_null() => String::new(),
            Value::Scalar(scalar) => scalar.text.trim().to_owned(),
            _ => entry.value.to_json().to_string(),
        };
        (entry.key.clone(), text)
    });
    texts.collect()
}

/// A field that must be there and is not.
fn missing(path: &str, key: &str, line: u32) -> Diagnostic {
    let path = format!("{path}.{key}");
    Diagnostic::error("field-missing", format!("`{path}` is missing"))
        .line(line)
        .field(path)
}
