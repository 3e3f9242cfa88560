//! Agents' folders: does every skill that should be seen there resolve?

use std::io;
use std::path::{Path, PathBuf};

use super::{Case, Proof, Symptom};
use crate::agents::Scope;
use crate::head::{HeadError, read_head};
use crate::link::{Mode, Placement, TEMPORARY_SUFFIX, copy_digest};

impl Case<'_> {
    pub(super) fn examine_folders(&mut self) -> Vec<Proof> {
        let store = self.store_dir();
        let mut proofs: Vec<Proof> = Vec::new();
        let mut found = Vec::new();
        for (skill, placements) in self.ledger.iter() {
            for placement in placements {
                let folder = placement.folder_from(&store);
                let symptom = self.examine_placement(skill, placement, &folder);
                let resolves = symptom.as_ref().is_none_or(|symptom| !symptom.breaks);
                found.extend(symptom.map(|symptom| symptom.symptom));
                let at = proofs.iter().position(|proof| proof.folder == folder);
                let at = at.unwrap_or_else(|| {
                    proofs.push(Proof {
                        folder: folder.clone(),
                        agents: Vec::new(),
                        seen: Vec::new(),
                        unseen: Vec::new(),
                    });
                    proofs.len() - 1
                });
                let proof = &mut proofs[at];
                for agent in &placement.agents {
                    if !proof.agents.contains(agent) {
                        proof.agents.push(agent.clone());
                    }
                }
                if resolves {
                    &mut proof.seen
                } else {
                    &mut proof.unseen
                }
                .push(skill.to_owned());
            }
        }
        for proof in &proofs {
            found.extend(leftovers(&proof.folder));
        }
        self.symptoms.extend(found);
        proofs.sort_by(|a, b| a.folder.cmp(&b.folder));
        proofs
    }

    /// As the ledger counts it: without links.
    fn store_dir(&self) -> PathBuf {
        let dir = self.doctor.store.dir();
        dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
    }

    fn examine_placement(
        &self,
        skill: &str,
        placement: &Placement,
        folder: &Path,
    ) -> Option<FolderSymptom> {
        let path = folder.join(skill);
        let subject = format!("{skill} for {}", placement.agents.join(", "));
        let installed = self.current_of(skill);
        if installed.is_none() && self.index_is_known {
            let text = format!(
                "{} is still there, and {skill} is not installed",
                path.display()
            );
            return Some(breaks(
                Symptom::warning("link-orphaned", subject, text)
                    .mendable("removes it, unless the store still has the skill"),
            ));
        }
        if let Err(error) = path.symlink_metadata() {
            return Some(breaks(missing(subject, &path, &error)));
        }
        if let Err(error) = path.metadata() {
            return Some(breaks(dangling(subject, &path, &error)));
        }
        let head = match read_head(&path) {
            Ok(head) => head,
            Err(error) => return Some(breaks(unreadable(skill, subject, &path, &error))),
        };
        if let Some(installed) = installed {
            let target = self.doctor.store.skill_dir(installed);
            let again = format!(
                "skills install --force {skill} --agent {}{}",
                placement.agents.join(","),
                if placement.mode == Mode::Copy {
                    " --copy"
                } else {
                    ""
                }
            );
            let symptom = self.examine_target(&subject, placement, &path, &target, &again);
            if let Some(symptom) = symptom {
                return Some(works(symptom));
            }
        }
        // The specification wants the folder's name and `name` to be equal; some agents insist.
        (head.manifest.name.as_str() != skill).then(|| {
            let text = format!(
                "its SKILL.md calls it {}, the folder {skill}: some agents leave it out",
                head.manifest.name
            );
            works(Symptom::info("name-differs", subject, text))
        })
    }

    /// Whether it resolves to what is installed, and not to something else.
    fn examine_target(
        &self,
        subject: &str,
        placement: &Placement,
        path: &Path,
        target: &Path,
        again: &str,
    ) -> Option<Symptom> {
        let is_link = path.is_symlink();
        match placement.mode {
            Mode::Link if !is_link => {
                let text = format!("{} was a link and is a folder now", path.display());
                let fix = format!("if the folder is not needed: {again}");
                Some(Symptom::warning("link-replaced", subject, text).fix(fix))
            }
            Mode::Copy if is_link => {
                let text = format!("{} was a copy and is a link now", path.display());
                let fix = format!("if the link is not needed: {again}");
                Some(Symptom::warning("copy-replaced", subject, text).fix(fix))
            }
            Mode::Link if path.canonicalize().ok() != target.canonicalize().ok() => {
                let text = format!(
                    "{} leads elsewhere than to the installed version",
                    path.display()
                );
                let symptom = Symptom::warning("link-outdated", subject, text);
                let inside = path
                    .canonicalize()
                    .is_ok_and(|real| real.starts_with(self.store_dir()));
                Some(if inside {
                    symptom.mendable("leads it there")
                } else {
                    symptom.fix("remove the link, then: skills doctor --fix")
                })
            }
            Mode::Copy if placement.digest.is_some() && copy_digest(path) != placement.digest => {
                let text = format!("the copy {} was changed", path.display());
                let fix = format!("keep it, or put the original back with: {again}");
                Some(Symptom::warning("copy-changed", subject, text).fix(fix))
            }
            Mode::Copy if placement.digest.is_some() && copy_digest(target) != placement.digest => {
                let text = format!("the copy {} is not the installed version", path.display());
                let symptom = Symptom::warning("copy-outdated", subject, text);
                Some(symptom.mendable("copies the installed one"))
            }
            _ => None,
        }
    }

    /// Skills that an agent finds twice, in the project and in the home folder.
    pub(super) fn examine_shadows(&mut self, proofs: &[Proof]) {
        let other = match self.doctor.scope {
            Scope::Project => Scope::Global,
            Scope::Global => Scope::Project,
        };
        let mut found = Vec::new();
        for proof in proofs {
            for agent in proof
                .agents
                .iter()
                .filter_map(|id| self.doctor.table.get(id).ok())
            {
                let Some(elsewhere) = self.doctor.roots.folder(agent, other) else {
                    continue;
                };
                for skill in proof
                    .seen
                    .iter()
                    .filter(|skill| elsewhere.join(skill).exists())
                {
                    let text = format!(
                        "{} finds it twice, in {} and in {}",
                        agent.name,
                        proof.folder.display(),
                        // As folders are written, without a slash at the end.
                        elsewhere.components().collect::<PathBuf>().display()
                    );
                    found
                        .push(Symptom::info("shadowed", skill.clone(), text).fix(
                            "uninstall one of the two, so that it is clear which one is used",
                        ));
                }
            }
        }
        self.symptoms.extend(found);
    }

    /// Agents that are used on this machine and see nothing.
    pub(super) fn examine_agents_without_skills(&mut self) {
        let count = self.current().count();
        if count == 0 {
            return;
        }
        let served: Vec<&str> = self
            .ledger
            .iter()
            .flat_map(|(_, placements)| placements)
            .flat_map(|placement| placement.agents.iter().map(String::as_str))
            .collect();
        let blind: Vec<&str> = self
            .doctor
            .table
            .present(self.doctor.roots)
            .into_iter()
            .filter(|agent| !served.contains(&agent.id.as_str()))
            .map(|agent| agent.id.as_str())
            .collect();
        if let Some(first) = blind.first() {
            let text = format!("in use here, and none of the {count} skills was installed for it");
            let fix = format!("if it should see them: skills install SKILL --agent {first}");
            let symptom = Symptom::info("agent-without-skills", blind.join(", "), text).fix(fix);
            self.symptoms.push(symptom);
        }
    }
}

/// A symptom, and whether the agent does not see the skill because of it.
struct FolderSymptom {
    symptom: Symptom,
    breaks: bool,
}

fn breaks(symptom: Symptom) -> FolderSymptom {
    FolderSymptom {
        symptom,
        breaks: true,
    }
}

fn works(symptom: Symptom) -> FolderSymptom {
    FolderSymptom {
        symptom,
        breaks: false,
    }
}

fn missing(subject: String, path: &Path, error: &io::Error) -> Symptom {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return denied(subject, path);
    }
    let text = format!("{} is gone", path.display());
    let symptom = Symptom::error("link-missing", subject, text);
    if path.parent().is_some_and(Path::is_dir) {
        symptom.mendable("puts it back")
    } else {
        symptom.mendable("forgets it, since the agent's whole folder is gone; install again for this agent if you still use it")
    }
}

fn dangling(subject: String, path: &Path, error: &io::Error) -> Symptom {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return denied(subject, path);
    }
    let to = std::fs::read_link(path).unwrap_or_default();
    let text = format!(
        "{} leads to {}, which does not exist",
        path.display(),
        to.display()
    );
    Symptom::error("link-dangling", subject, text).mendable("leads it to the installed skill")
}

fn denied(subject: String, path: &Path) -> Symptom {
    let text = format!("{} cannot be read: permission denied", path.display());
    Symptom::error("permission-denied", subject, text).fix("check who owns it and its permissions")
}

fn unreadable(skill: &str, subject: String, path: &Path, error: &HeadError) -> Symptom {
    if let HeadError::File { source, .. } = error
        && source.kind() == io::ErrorKind::PermissionDenied
    {
        return denied(subject, path);
    }
    let text = format!(
        "{} holds no skill that an agent can read: {error}",
        path.display()
    );
    Symptom::error("skill-unreadable", subject, text).fix(format!(
        "put the original back with: skills install --force {skill}"
    ))
}

/// What a crash in the middle of linking left in an agent's folder.
fn leftovers(folder: &Path) -> Vec<Symptom> {
    let names = crate::fsx::entry_names(folder).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| name.ends_with(TEMPORARY_SUFFIX))
        .map(|name| {
            let path = folder.join(name).display().to_string();
            Symptom::warning("leftover", path, "an interrupted run left it").mendable("removes it")
        })
        .collect()
}
