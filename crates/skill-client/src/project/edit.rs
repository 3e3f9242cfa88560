//! Changes to `skills.toml` that leave everything else as it was written.

use skill_format::{Range, SkillName};
use toml_edit::{InlineTable, Item, Table, TableLike, Value};

use super::{Project, ProjectError, ProjectSkill, ProjectSource, read};

impl Project {
    /// Adds a skill, or changes the source, alias and agents of one that is there.
    pub fn set_skill(&mut self, skill: &ProjectSkill) -> Result<(), ProjectError> {
        let skills = self.section("skills");
        let key = skill.name.as_str();
        match skills.get_mut(key) {
            Some(item) => change(item, skill),
            None => {
                skills.insert(key, Item::Value(written(skill)));
            }
        }
        self.reread()
    }

    /// Asks for a skill of the default registry.
    pub fn require(&mut self, name: &SkillName, range: &Range) -> Result<(), ProjectError> {
        let source = ProjectSource::Registry {
            range: range.clone(),
            registry: self
                .wishes
                .skills
                .get(name)
                .and_then(|known| match &known.source {
                    ProjectSource::Registry { registry, .. } => registry.clone(),
                    _ => None,
                }),
        };
        let known = self.wishes.skills.get(name);
        let skill = ProjectSkill {
            name: name.clone(),
            source,
            alias: known.and_then(|known| known.alias.clone()),
            agents: known.and_then(|known| known.agents.clone()),
        };
        self.set_skill(&skill)
    }

    /// Takes out the skill that is installed under this name. Says whether there was one.
    pub fn remove_skill(&mut self, installed_name: &SkillName) -> Result<bool, ProjectError> {
        let found = self
            .wishes
            .skills
            .values()
            .find(|skill| skill.installed_name() == installed_name);
        let Some(name) = found.map(|skill| skill.name.clone()) else {
            return Ok(false);
        };
        self.section("skills").remove(name.as_str());
        self.reread()?;
        Ok(true)
    }

    /// Says into which agents everything goes.
    pub fn set_agents(&mut self, agents: &[String]) -> Result<(), ProjectError> {
        let list: Value = agents.iter().map(String::as_str).collect();
        put(self.section("agents"), "install", list);
        self.reread()
    }

    fn section(&mut self, name: &str) -> &mut dyn TableLike {
        let mut table = Table::new();
        if self.document.is_empty() {
            // The comment of a file with nothing else in it stays at its top.
            let comment = self.document.trailing().as_str().unwrap_or_default();
            table.decor_mut().set_prefix(comment.to_owned());
            self.document.set_trailing("");
        }
        let root = self.document.as_table_mut();
        if !root.get(name).is_some_and(Item::is_table_like) {
            root.insert(name, Item::Table(table));
        }
        root.get_mut(name)
            .and_then(Item::as_table_like_mut)
            .expect("a table was put there if there was none")
    }

    /// The meaning always follows from the text.
    fn reread(&mut self) -> Result<(), ProjectError> {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        let (document, wishes) =
            read::read(&file, &self.document.to_string()).map_err(ProjectError::Invalid)?;
        self.document = document;
        self.wishes = wishes;
        Ok(())
    }
}

fn change(item: &mut Item, skill: &ProjectSkill) {
    if let Some(table) = item.as_table_like_mut() {
        fill(table, skill);
        return;
    }
    let mut value = written(skill);
    if let Some(old) = item.as_value() {
        *value.decor_mut() = old.decor().clone();
    }
    *item = Item::Value(value);
}

fn is_plain(skill: &ProjectSkill) -> bool {
    skill.alias.is_none()
        && skill.agents.is_none()
        && matches!(skill.source, ProjectSource::Registry { registry: None, .. })
}

fn written(skill: &ProjectSkill) -> Value {
    if let (true, ProjectSource::Registry { range, .. }) = (is_plain(skill), &skill.source) {
        return range.to_string().into();
    }
    let mut table = InlineTable::new();
    fill(&mut table, skill);
    Value::InlineTable(table)
}

fn fill(table: &mut dyn TableLike, skill: &ProjectSkill) {
    let mut wanted: Vec<(&str, Value)> = Vec::new();
    match &skill.source {
        ProjectSource::Registry { range, registry } => {
            wanted.push(("version", range.to_string().into()));
            wanted.extend(
                registry
                    .as_deref()
                    .map(|registry| ("registry", registry.into())),
            );
        }
        ProjectSource::Path(path) => {
            wanted.push(("path", path.display().to_string().into()));
        }
        ProjectSource::Git { url, rev, path } => {
            wanted.push(("git", url.as_str().into()));
            wanted.extend(rev.as_deref().map(|rev| ("rev", rev.into())));
            wanted.extend(path.as_deref().map(|path| ("path", path.into())));
        }
    }
    wanted.extend(
        skill
            .alias
            .as_ref()
            .map(|alias| ("as", alias.as_str().into())),
    );
    if let Some(agents) = &skill.agents {
        wanted.push(("agents", agents.iter().map(String::as_str).collect()));
    }
    for key in ["version", "registry", "path", "git", "rev", "as", "agents"] {
        if !wanted.iter().any(|(wanted, _)| *wanted == key) {
            table.remove(key);
        }
    }
    for (key, value) in wanted {
        put(table, key, value);
    }
}

/// Sets a value and keeps the comments around the old one.
fn put(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(old) = table.get(key).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    table.insert(key, Item::Value(value));
}
