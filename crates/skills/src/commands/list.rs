//! `skills list`: what is installed in the store. Opens no connection and no cache.

use serde_json::{Value, json};
use skill_client::agents::AgentTable;
use skill_client::budget::{self, CatalogueEntry};
use skill_client::link::Ledger;
use skill_client::{Index, InstalledSkill, Store, head};

use crate::cli::consume::ListArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &ListArgs, context: &Context) -> Result<(), Failure> {
    let paths = context.paths();
    let store = Store::new(paths.store_dir());
    let index = store.index()?;
    let ledger = Ledger::read(store.dir())?;
    let agents = |skill: &InstalledSkill| {
        let mut agents: Vec<String> = ledger
            .agents_of(skill.name.as_str())
            .into_iter()
            .map(str::to_owned)
            .collect();
        // All of them is a word, not a screen.
        if agents.len() > 6 && agents.len() * 2 > AgentTable::builtin().len() {
            agents = vec![format!("{} agents", agents.len())];
        }
        agents.join(", ")
    };
    for entry in index.unreadable() {
        context.printer.warn(format!(
            "an entry of {} cannot be read: {}",
            store.index_path().display(),
            entry.problem
        ));
    }
    let printer = &context.printer;
    if index.skills().is_empty() {
        printer.note(format!("nothing is installed in {}", store.dir().display()));
    } else if args.long {
        let rows = index.skills().iter().map(|skill| {
            [
                skill.name.to_string(),
                skill.version.to_string(),
                skill.installed_at.strftime("%Y-%m-%d").to_string(),
                skill.signer.as_deref().map(short).unwrap_or_default(),
                agents(skill),
                skill.source.to_string(),
            ]
        });
        printer.table(
            ["name", "version", "installed", "signer", "agents", "source"],
            rows,
        );
        let cost = budget::cost(&entries(&store, index.skills()));
        printer.note(format!(
            "names and descriptions take about {} tokens of every agent's context",
            cost.tokens
        ));
    } else {
        let rows = index.skills().iter().map(|skill| {
            let needed = if skill.requested.is_some() {
                ""
            } else {
                "needed by others"
            };
            [
                skill.name.to_string(),
                skill.version.to_string(),
                agents(skill),
                needed.to_owned(),
            ]
        });
        printer.table(["name", "version", "agents", ""], rows);
    }
    if printer.is_json() {
        printer.document(&document(&store, &index, &ledger));
    }
    Ok(())
}

fn document(store: &Store, index: &Index, ledger: &Ledger) -> Value {
    let skills = index.skills().iter().map(|skill| {
        let mut value = json!(skill);
        value["path"] = json!(store.skill_dir(skill));
        value["agents"] = json!(ledger.agents_of(skill.name.as_str()));
        value
    });
    json!({ "store": store.dir(), "skills": skills.collect::<Vec<_>>() })
}

/// What an agent's catalogue shows of the skills that can be read.
fn entries(store: &Store, skills: &[InstalledSkill]) -> Vec<CatalogueEntry> {
    let entry = |skill: &InstalledSkill| {
        let head = head::read_head(&store.skill_dir(skill)).ok()?;
        Some(CatalogueEntry {
            name: skill.name.clone(),
            description: head.manifest.description,
        })
    };
    skills.iter().filter_map(entry).collect()
}

/// The end of a fingerprint, by which people know a key.
fn short(fingerprint: &str) -> String {
    fingerprint
        .get(fingerprint.len().saturating_sub(16)..)
        .unwrap_or(fingerprint)
        .to_owned()
}
