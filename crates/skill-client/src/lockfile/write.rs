//! Changes to the text of a lockfile: entries sorted by name, keys in one order, the rest as found.

use skill_format::SkillName;
use std::collections::BTreeMap;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Key, Table, Value, value};

use super::{LockedSkill, Lockfile};

const HEADER: &str = "# Made by `skills`. Commit this file; `skills lock` changes it.\n";

pub(super) fn new_document(version: i64) -> DocumentMut {
    let mut document = DocumentMut::new();
    document.insert("version", value(version));
    if let Some(mut key) = document.key_mut("version") {
        key.leaf_decor_mut().set_prefix(HEADER);
    }
    document
}

impl Lockfile {
    /// Locks exactly these skills. Entries that stay as they are keep their text; unknown keys of
    /// entries that change survive.
    pub fn set_skills(&mut self, skills: impl IntoIterator<Item = LockedSkill>) {
        let wanted: BTreeMap<SkillName, LockedSkill> = skills
            .into_iter()
            .map(|skill| (skill.name.clone(), skill))
            .collect();
        let mut known = self.take_tables();
        let mut tables = ArrayOfTables::new();
        for (name, skill) in &wanted {
            let same = self.skills.get(name) == Some(skill);
            let mut table = known.remove(name.as_str()).unwrap_or_default();
            if !same || table.is_empty() {
                fill(&mut table, skill);
            }
            // One position for all of them: they are printed in the order of the list.
            table.set_position(Some(ENTRIES_POSITION));
            tables.push(table);
        }
        if !tables.is_empty() {
            self.document.insert("skill", Item::ArrayOfTables(tables));
        }
        self.skills = wanted;
    }

    fn take_tables(&mut self) -> BTreeMap<String, Table> {
        let tables = match self.document.remove("skill") {
            Some(Item::ArrayOfTables(tables)) => tables,
            // A list of inline tables is read too, and becomes tables.
            Some(Item::Value(Value::Array(list))) => list
                .into_iter()
                .filter_map(|entry| match entry {
                    Value::InlineTable(table) => Some(table.into_table()),
                    _ => None,
                })
                .collect(),
            _ => ArrayOfTables::new(),
        };
        tables
            .into_iter()
            .filter_map(|table| Some((table.get("name")?.as_str()?.to_owned(), table)))
            .collect()
    }
}

/// Before any other table that a newer program may have put into the file.
const ENTRIES_POSITION: isize = 1;

fn fill(table: &mut Table, skill: &LockedSkill) {
    let mut dependencies = InlineTable::new();
    for (name, range) in &skill.dependencies {
        dependencies.insert(name.as_str(), range.to_string().into());
    }
    let dependencies = (!dependencies.is_empty()).then_some(Value::InlineTable(dependencies));
    let size = skill.size.and_then(|size| i64::try_from(size).ok());
    let fields: [(&str, Option<Value>); 9] = [
        ("name", Some(skill.name.as_str().into())),
        ("version", Some(skill.version.to_string().into())),
        ("source", Some(skill.source.to_string().into())),
        (
            "sha256",
            skill.sha256.map(|digest| digest.to_string().into()),
        ),
        ("size", size.map(Value::from)),
        ("signer", skill.signer.as_deref().map(Value::from)),
        (
            "package",
            skill.package.as_ref().map(|name| name.as_str().into()),
        ),
        ("rev", skill.rev.as_deref().map(Value::from)),
        ("dependencies", dependencies),
    ];
    // Known keys first and in this order, whatever is there already; comments stay beside them.
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let mut old: Vec<(Key, Item)> = keys
        .iter()
        .filter_map(|key| table.remove_entry(key))
        .collect();
    for (name, value) in fields {
        let known = old.iter().position(|(key, _)| key.get() == name);
        let (key, old) = known.map_or((Key::new(name), Item::None), |at| old.remove(at));
        if let Some(mut value) = value {
            if let Some(old) = old.as_value() {
                *value.decor_mut() = old.decor().clone();
            }
            table.insert_formatted(&key, Item::Value(value));
        }
    }
    for (key, item) in old {
        table.insert_formatted(&key, item);
    }
}
