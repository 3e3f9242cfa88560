//! What installed skills need to run: variables that they declare, programs for their scripts,
//! packages of Python, other skills.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;
use skill_format::Skill;

use super::{Case, Symptom, python};
use crate::ecosystem::{Ecosystem, python_allows};
use crate::head::read_head;
use crate::index::InstalledSkill;
use crate::run::{EntryPoint, RunError, entry_points, find_program, missing_variables};
use crate::source::Origin;

const PYTHON: &str = "python3";
/// Looked for whether a skill needs them or not. `gpg` is never needed: signatures are made and
/// checked by this program.
const ALWAYS: [&str; 3] = ["git", "gpg", PYTHON];

/// A program that skills may need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    pub name: String,
    /// Where PATH has it.
    pub path: Option<PathBuf>,
    /// Skills that cannot be used without it.
    pub needed_by: Vec<String>,
}

/// What skills need, with the skills that need it.
#[derive(Default)]
struct Needs {
    programs: BTreeMap<String, BTreeSet<String>>,
    /// Skill and range.
    python: Vec<(String, String)>,
    /// Skill, package and range.
    packages: Vec<(String, String, String)>,
}

impl Needs {
    fn program(&mut self, program: &str, skill: &str) {
        let skills = self.programs.entry(program.to_owned()).or_default();
        skills.insert(skill.to_owned());
    }
}

impl Case<'_> {
    pub(super) async fn examine_needs(&mut self) -> Vec<Tool> {
        let mut found = Vec::new();
        let mut needs = Needs::default();
        for installed in self.current() {
            let folder = self.doctor.store.skill_dir(installed);
            let skill = installed.name.as_str();
            if matches!(installed.source, Origin::Git { .. }) {
                needs.program("git", skill);
            }
            found.extend(self.missing_skills(installed));
            // One that cannot be read has its own symptom already.
            let Ok(head) = read_head(&folder) else {
                continue;
            };
            found.extend(self.missing_environment(skill, &head));
            declared(skill, &head, &mut needs);
            for entry in entry_points(&folder, &head.manifest) {
                match interpreter(&entry, &folder) {
                    Ok(program) => {
                        program.inspect(|program| needs.program(program, skill));
                    }
                    Err(error) => found.push(
                        Symptom::warning("entry-point-invalid", skill, error.to_string())
                            .fix("tell its author, or look for a newer version: skills update"),
                    ),
                }
            }
        }
        let tools = self.tools(&needs);
        for tool in tools.iter().filter(|tool| tool.path.is_none()) {
            if let [_, ..] = tool.needed_by.as_slice() {
                let text = format!("not found on PATH; needed by {}", tool.needed_by.join(", "));
                found.push(
                    Symptom::warning("program-missing", &tool.name, text)
                        .fix(format!("install {}", tool.name)),
                );
            }
        }
        found.extend(self.examine_python(&tools, &needs).await);
        self.symptoms.extend(found);
        tools
    }

    fn tools(&self, needs: &Needs) -> Vec<Tool> {
        let search = self.variable("PATH").unwrap_or_default();
        let needed = needs.programs.keys().map(String::as_str);
        let names: BTreeSet<&str> = needed.chain(ALWAYS).collect();
        names
            .into_iter()
            .map(|name| Tool {
                name: name.to_owned(),
                path: find_program(name, &search),
                needed_by: needs
                    .programs
                    .get(name)
                    .map(|skills| skills.iter().cloned().collect())
                    .unwrap_or_default(),
            })
            .collect()
    }

    async fn examine_python(&self, tools: &[Tool], needs: &Needs) -> Vec<Symptom> {
        if needs.python.is_empty() && needs.packages.is_empty() {
            return Vec::new();
        }
        let tool = tools.iter().find(|tool| tool.name == PYTHON);
        // That it is missing has been said.
        let Some(program) = tool.and_then(|tool| tool.path.clone()) else {
            return Vec::new();
        };
        let packages: BTreeSet<String> = needs
            .packages
            .iter()
            .map(|(_, package, _)| package.clone())
            .collect();
        let packages: Vec<String> = packages.into_iter().collect();
        let subject = program.display().to_string();
        let python = match python::ask(program, &packages, self.doctor.variable).await {
            Ok(python) => python,
            Err(problem) => {
                let text = format!("it cannot be asked for its packages: {problem}");
                return vec![
                    Symptom::warning("python-unusable", subject, text)
                        .fix("run it by hand, and mend or replace it"),
                ];
            }
        };
        let mut found = Vec::new();
        for (skill, range) in &needs.python {
            if python_allows(range, &python.version) == Some(false) {
                let text = format!("it needs Python {range}; {subject} is {}", python.version);
                found.push(
                    Symptom::warning("python-version", skill, text)
                        .fix("put another python3 first on PATH"),
                );
            }
        }
        for (skill, package, range) in &needs.packages {
            found.extend(missing_package(skill, package, range, &python, &subject));
        }
        found
    }

    fn missing_environment(&self, skill: &str, head: &Skill) -> Option<Symptom> {
        let missing = missing_variables(&head.manifest, self.doctor.variable);
        (!missing.is_empty()).then(|| {
            let verb = if missing.len() == 1 { "is" } else { "are" };
            let text = format!("it needs {}, which {verb} not set", missing.join(", "));
            Symptom::warning("environment-missing", skill, text)
                .fix("set it before the skill is run")
        })
    }

    fn missing_skills(&self, installed: &InstalledSkill) -> Vec<Symptom> {
        let dependencies = installed.dependencies.iter();
        dependencies
            .filter_map(|(name, range)| {
                let found = self.current_of(name.as_str());
                let fits = found.is_some_and(|found| range.matches(&found.version));
                // A folder or a commit may have any version.
                let local = found.is_some_and(|found| found.source.registry().is_none());
                if fits || local {
                    return None;
                }
                let text = match found {
                    Some(found) => {
                        format!(
                            "it needs {name} {range}, and {} is installed",
                            found.version
                        )
                    }
                    None => format!("it needs {name} {range}, which is not installed"),
                };
                Some(
                    Symptom::error("dependency-missing", installed.name.as_str(), text)
                        .fix(format!("skills install {}", installed.name)),
                )
            })
            .collect()
    }
}

/// What the manifest says that it needs, beside skills and variables.
fn declared(skill: &str, head: &Skill, needs: &mut Needs) {
    let dependencies = &head.manifest.dependencies;
    if let Some(range) = dependencies.hosts.get("python") {
        needs.program(PYTHON, skill);
        needs.python.push((skill.to_owned(), range.clone()));
    }
    if dependencies.hosts.contains_key("node") {
        needs.program("node", skill);
    }
    for (ecosystem, packages) in &dependencies.packages {
        let is_python = Ecosystem::of_manifest(ecosystem) == Some(Ecosystem::PyPi);
        for (package, range) in packages {
            if is_python {
                needs.program(PYTHON, skill);
                // Extras (`pandas[excel]`) are no part of the name.
                let package = package.split('[').next().unwrap_or_default().trim();
                let need = (skill.to_owned(), package.to_owned(), range.clone());
                needs.packages.push(need);
            } else if ecosystem == "system" {
                needs.program(package, skill);
            }
        }
    }
}

fn missing_package(
    skill: &str,
    package: &str,
    range: &str,
    python: &python::Python,
    program: &str,
) -> Option<Symptom> {
    let installed = python.packages.get(package)?.as_deref();
    let wanted = format!("{package} {range}");
    let text = match installed {
        None => format!(
            "it needs the Python package {}, which {program} does not have",
            wanted.trim()
        ),
        Some(version) if python_allows(range, version) == Some(false) => {
            format!("it needs the Python package {wanted}; {program} has {version}")
        }
        Some(_) => return None,
    };
    // Names and ranges are the author's: only what a shell takes as one word becomes a command.
    let is_plain = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-,<>=~!*+ ".contains(c);
        text.chars().all(plain)
    };
    let fix = if is_plain(package) && is_plain(range) {
        format!("{program} -m pip install '{package}{range}'")
    } else {
        "install it with pip".to_owned()
    };
    Some(Symptom::warning("python-package-missing", skill, text).fix(fix))
}

/// The program that an entry point is run by; an error if the entry point cannot work at all.
fn interpreter(
    entry: &EntryPoint,
    folder: &std::path::Path,
) -> Result<Option<&'static str>, RunError> {
    entry.interpreter(&entry.script(folder)?)
}
