//! Skills to publish, built in memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use skill_format::{SkillFile, SkillTree};

/// A skill under construction: `SKILL.md` and `skill.yaml` follow from what is
/// set here, unless a file of that name is given.
#[derive(Debug, Clone)]
pub struct Fixture {
    name: String,
    version: Option<String>,
    description: String,
    author: Option<String>,
    tags: Vec<String>,
    dependencies: Vec<(String, String)>,
    yaml: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Fixture {
    /// A valid skill without a version.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
            description: format!("Does what {name} does. Use it when that is needed."),
            author: None,
            tags: Vec::new(),
            dependencies: Vec::new(),
            yaml: String::new(),
            files: BTreeMap::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version as set; the empty text if there is none.
    pub fn version_text(&self) -> &str {
        self.version.as_deref().unwrap_or_default()
    }

    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = description.to_owned();
        self
    }

    #[must_use]
    pub fn author(mut self, author: &str) -> Self {
        self.author = Some(author.to_owned());
        self
    }

    #[must_use]
    pub fn tags(mut self, tags: &[&str]) -> Self {
        self.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self
    }

    #[must_use]
    pub fn depends_on(mut self, name: &str, range: &str) -> Self {
        self.dependencies.push((name.to_owned(), range.to_owned()));
        self
    }

    /// Lines to add to `skill.yaml`.
    #[must_use]
    pub fn yaml(mut self, lines: &str) -> Self {
        self.yaml.push_str(lines);
        self.yaml.push('\n');
        self
    }

    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// All files.
    pub fn tree(&self) -> SkillTree {
        let mut files = self.files.clone();
        files
            .entry("SKILL.md".to_owned())
            .or_insert_with(|| self.skill_md().into_bytes());
        if let Some(yaml) = self.skill_yaml() {
            files
                .entry("skill.yaml".to_owned())
                .or_insert_with(|| yaml.into_bytes());
        }
        let mut tree = SkillTree::new();
        for (path, content) in files {
            tree.insert(&path, SkillFile::plain(content))
                .expect("a fixture's paths are valid");
        }
        tree
    }

    /// The packed `.spm`.
    pub fn archive(&self) -> Vec<u8> {
        self.tree().pack()
    }

    fn skill_md(&self) -> String {
        let Self {
            name, description, ..
        } = self;
        format!(
            "---\nname: {name}\ndescription: {}\n---\n\n# {name}\n\nFollow the steps.\n",
            quoted(description)
        )
    }

    fn skill_yaml(&self) -> Option<String> {
        let version = self.version.as_ref()?;
        let mut yaml = format!(
            "name: {}\nversion: {version}\ndescription: {}\n",
            self.name,
            quoted(&self.description)
        );
        if let Some(author) = &self.author {
            let _ = writeln!(yaml, "author: {}", quoted(author));
        }
        if !self.tags.is_empty() {
            let _ = writeln!(yaml, "tags: [{}]", self.tags.join(", "));
        }
        if !self.dependencies.is_empty() {
            yaml.push_str("dependencies:\n");
            for (name, range) in &self.dependencies {
                let _ = writeln!(yaml, "  {name}: {}", quoted(range));
            }
        }
        yaml.push_str(&self.yaml);
        Some(yaml)
    }
}

/// A YAML double-quoted scalar; JSON's strings are among them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
