//! Proves that what is installed can be used: every agent's folder really leads to every skill it
//! should see, the files are those that were installed, and what the skills need is there. Follows
//! links and reads files the way an agent does; believes no record without looking.
//!
//! To add a check: a function in the file of its subject that returns [`Symptom`]s with a code of
//! its own; if it can be mended without losing anything, say so and mend it in `mend`.

mod folders;
mod mend;
mod needs;
mod places;
mod python;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;
use skill_format::Severity;
use skill_signing::Keyring;

use crate::agents::{AgentTable, Roots, Scope};
use crate::api::Client;
use crate::cache::Cache;
use crate::index::{Index, InstalledSkill};
use crate::link::Ledger;
use crate::store::Store;

pub use mend::{MendError, Mended};
pub use needs::Tool;

/// Something that is not as it should be, or is worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Symptom {
    /// Stable and kebab-case.
    pub code: &'static str,
    /// An error or a warning is a problem; the rest is worth knowing.
    pub severity: Severity,
    /// What it is about: a skill, an agent, a registry, a file.
    pub subject: String,
    /// One sentence without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Whether [`Doctor::mend`] does it, since nothing can be lost.
    pub mendable: bool,
}

impl Symptom {
    fn new(
        code: &'static str,
        severity: Severity,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            subject: subject.into(),
            message: message.into(),
            fix: None,
            mendable: false,
        }
    }

    fn error(code: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, subject, message)
    }

    fn warning(code: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, subject, message)
    }

    fn info(code: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Info, subject, message)
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Mended by `doctor --fix`, which does `what`.
    fn mendable(mut self, what: &str) -> Self {
        self.mendable = true;
        self.fix(format!("skills doctor --fix {what}"))
    }
}

/// A folder of agents and what was seen in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    pub folder: PathBuf,
    pub agents: Vec<String>,
    /// Skills that resolve: found, followed into the store (or a copy), and read.
    pub seen: Vec<String>,
    /// Skills that should be there and do not resolve.
    pub unseen: Vec<String>,
}

/// A registry and whether it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    pub registry: String,
    pub reachable: bool,
}

/// The result of an examination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Examination {
    /// Number of installed skills, versions counted once each.
    pub skills: usize,
    pub proofs: Vec<Proof>,
    pub tools: Vec<Tool>,
    /// Empty if none was to be asked.
    pub registries: Vec<Reached>,
    /// Worst first.
    pub symptoms: Vec<Symptom>,
}

impl Examination {
    /// What has to be mended.
    pub fn problems(&self) -> impl Iterator<Item = &Symptom> {
        self.symptoms
            .iter()
            .filter(|symptom| symptom.severity > Severity::Info)
    }
}

/// What is examined.
pub struct Doctor<'a> {
    pub store: &'a Store,
    pub cache: &'a Cache,
    pub roots: &'a Roots,
    pub table: &'a AgentTable,
    /// Of the store's agents' folders.
    pub scope: Scope,
    pub keyring: &'a Keyring,
    /// Who signed what so far.
    pub pins_file: &'a Path,
    /// The file with registries and tokens.
    pub config_file: &'a Path,
    /// The environment that skills would be run in.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The registries to ask; none without network.
    pub clients: &'a [Client],
}

/// What the checks share, read once.
struct Case<'a> {
    doctor: &'a Doctor<'a>,
    index: Index,
    /// Whether the index could be read; if not, nothing can be said about what is not in it.
    index_is_known: bool,
    ledger: Ledger,
    symptoms: Vec<Symptom>,
}

impl Doctor<'_> {
    /// Examines everything. Changes nothing.
    pub async fn examine(&self) -> Examination {
        let mut case = self.open();
        let proofs = case.examine_folders();
        case.examine_shadows(&proofs);
        case.examine_agents_without_skills();
        case.examine_store();
        case.examine_cache();
        case.examine_user();
        let tools = case.examine_needs().await;
        let registries = case.ask_registries().await;
        let mut symptoms = case.symptoms;
        symptoms.sort_by(|a, b| {
            (b.severity, a.code, &a.subject).cmp(&(a.severity, b.code, &b.subject))
        });
        Examination {
            skills: case.index.skills().len(),
            proofs,
            tools,
            registries,
            symptoms,
        }
    }

    fn open(&self) -> Case<'_> {
        let mut symptoms = Vec::new();
        let index = self.store.index().unwrap_or_else(|error| {
            let subject = self.store.index_path().display().to_string();
            symptoms.push(
                Symptom::error("index-unreadable", subject, error.to_string()).fix(
                    "move the file away, then: skills doctor --fix takes the skills in the store back in",
                ),
            );
            Index::default()
        });
        let index_is_known = symptoms.is_empty();
        let ledger = Ledger::read(self.store.dir()).unwrap_or_else(|error| {
            let subject = self.store.dir().display().to_string();
            symptoms.push(
                Symptom::error("agents-ledger-unreadable", subject, error.to_string())
                    .fix("move agents.json away and install for your agents again"),
            );
            Ledger::default()
        });
        Case {
            doctor: self,
            index,
            index_is_known,
            ledger,
            symptoms,
        }
    }
}

impl Case<'_> {
    /// The newest installed version of each skill: what agents should see.
    fn current(&self) -> impl Iterator<Item = &InstalledSkill> {
        self.index
            .skills()
            .iter()
            .filter(|skill| self.index.get(&skill.name) == Some(skill))
    }

    fn current_of(&self, name: &str) -> Option<&InstalledSkill> {
        self.current().find(|skill| skill.name.as_str() == name)
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        (self.doctor.variable)(name)
    }

    async fn ask_registries(&mut self) -> Vec<Reached> {
        let clients = self.doctor.clients;
        let answers = futures::future::join_all(clients.iter().map(|client| client.health())).await;
        let mut reached = Vec::new();
        for (client, answer) in clients.iter().zip(answers) {
            let url = client.registry().url.as_str();
            reached.push(Reached {
                registry: url.to_owned(),
                reachable: answer.is_ok(),
            });
            let Err(error) = answer else { continue };
            let used = |skill: &InstalledSkill| skill.source.registry() == Some(url);
            let skills = self
                .index
                .skills()
                .iter()
                .filter(|skill| used(skill))
                .count();
            let symptom = if skills == 0 {
                // Configured (perhaps by default) and not used: nothing is broken by it.
                Symptom::info("registry-unreachable", url, error.to_string())
                    .fix("start it, or correct its address: skills registry list")
            } else {
                let text = format!("{error}; {skills} installed skills came from it");
                Symptom::warning("registry-unreachable", url, text)
                    .fix("start it, or leave the question out with --offline")
            };
            self.symptoms.push(symptom);
        }
        reached
    }
}
