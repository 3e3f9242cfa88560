//! Removing installed skills: not while others need them, not with local changes lost, and not
//! leaving behind what only they needed.

use std::collections::BTreeSet;

use skill_format::SkillName;

use crate::agents::{Roots, Scope};
use crate::events::waiting;
use crate::index::{Index, InstalledSkill};
use crate::install::{InstallError, InstallOutcome, Installer, Removed};
use crate::link::{LinkReport, Linker};
use crate::store::Drift;

/// What to remove.
#[derive(Debug, Clone, Default)]
pub struct UninstallRequest {
    pub names: Vec<SkillName>,
    /// Remove them even if others need them, and move aside what was changed in agents' folders.
    pub force: bool,
}

impl Installer<'_> {
    /// Removes skills and the dependencies that nothing needs afterwards. Folders that were changed
    /// are saved aside. With `agents`, the skills go from the agents' folders first.
    pub async fn uninstall(
        &self,
        request: &UninstallRequest,
        agents: Option<(&Roots, Scope)>,
    ) -> Result<InstallOutcome, InstallError> {
        let now = self.clock.now();
        let share = self
            .cache
            .share(waiting(self.observer, "the cache"))
            .await?;
        let (mut guard, repairs) = self.open_store("skills uninstall", now).await?;
        let going = going(guard.index(), request)?;
        let (mut links, mut backups) = (None, Vec::new());
        if let Some((roots, scope)) = agents {
            let names: Vec<String> = going.iter().map(|skill| skill.name.to_string()).collect();
            let mut linker = Linker::open(self.store.dir(), roots, scope)?;
            let unlinked = linker.uninstall(&names, request.force)?;
            backups = links
                .insert(LinkReport::default())
                .absorb_unlinked(unlinked);
        }
        let mut transaction = guard.begin(now)?;
        for skill in &going {
            let changed = !matches!(self.store.drift(skill), Drift::None | Drift::Missing);
            transaction.remove(&skill.name, &skill.version, changed);
        }
        let committed = transaction.commit()?;
        drop(share);
        let removed = |skill: &InstalledSkill| Removed {
            name: skill.name.clone(),
            version: skill.version.clone(),
        };
        Ok(InstallOutcome {
            removed: going.iter().map(removed).collect(),
            backups: committed.backups.into_iter().chain(backups).collect(),
            repairs,
            links,
            ..InstallOutcome::default()
        })
    }
}

/// What is named, and then whatever is only here because something that goes needed it.
fn going(index: &Index, request: &UninstallRequest) -> Result<Vec<InstalledSkill>, InstallError> {
    let named: BTreeSet<&SkillName> = request.names.iter().collect();
    for name in &named {
        if index.get(name).is_none() {
            return Err(InstallError::not_installed(name, index));
        }
        let needs = |skill: &&InstalledSkill| {
            !named.contains(&skill.name) && skill.dependencies.contains_key(*name)
        };
        let dependents: Vec<SkillName> = index
            .skills()
            .iter()
            .filter(needs)
            .map(|skill| skill.name.clone())
            .collect();
        if !request.force && !dependents.is_empty() {
            return Err(InstallError::Needed {
                name: (*name).clone(),
                dependents,
            });
        }
    }
    let mut going: BTreeSet<SkillName> = named.into_iter().cloned().collect();
    loop {
        let staying = || {
            index
                .skills()
                .iter()
                .filter(|skill| !going.contains(&skill.name))
        };
        let is_needed =
            |name: &SkillName| staying().any(|skill| skill.dependencies.contains_key(name));
        let was_needed_by_going = |name: &SkillName| {
            let gone = index
                .skills()
                .iter()
                .filter(|skill| going.contains(&skill.name));
            gone.into_iter()
                .any(|skill| skill.dependencies.contains_key(name))
        };
        let orphans: Vec<SkillName> = staying()
            .filter(|skill| {
                skill.requested.is_none()
                    && was_needed_by_going(&skill.name)
                    && !is_needed(&skill.name)
            })
            .map(|skill| skill.name.clone())
            .collect();
        if orphans.is_empty() {
            break;
        }
        going.extend(orphans);
    }
    Ok(index
        .skills()
        .iter()
        .filter(|skill| going.contains(&skill.name))
        .cloned()
        .collect())
}

#[cfg(test)]
mod tests {
    use skill_format::{Explain as _, Sha256};

    use super::*;

    /// Lines like `app! lib core`: `app` was asked for and needs `lib` and `core`.
    fn index(lines: &[&str]) -> Index {
        let mut index = Index::default();
        for line in lines {
            let mut words = line.split(' ');
            let name = words.next().expect("a name");
            let dependencies = words
                .map(|name| (name.parse().expect(name), "*".parse().expect("a range")))
                .collect();
            index.insert(InstalledSkill {
                name: name.trim_end_matches('!').parse().expect(name),
                version: "1.0.0".parse().expect("a version"),
                installed_at: jiff::Timestamp::UNIX_EPOCH,
                source: "https://example.org".parse().expect("an origin"),
                spec: None,
                checksum: Sha256::of(b""),
                digest: None,
                signer: None,
                package: None,
                requested: name.ends_with('!').then(skill_format::Range::any),
                dependencies,
                extra: Default::default(),
            });
        }
        index
    }

    fn gone(lines: &[&str], names: &[&str], force: bool) -> Result<Vec<String>, &'static str> {
        let names = names.iter().map(|name| name.parse().expect(name)).collect();
        let going = going(&index(lines), &UninstallRequest { names, force });
        going
            .map(|skills| skills.iter().map(|skill| skill.name.to_string()).collect())
            .map_err(|error| error.code())
    }

    #[test]
    fn what_only_the_removed_needed_goes_with_it() {
        let lines = [
            "app! lib tool",
            "lib core",
            "core",
            "tool",
            "other! tool",
            "mine!",
        ];
        assert_eq!(
            gone(&lines, &["app"], false),
            Ok(vec!["app".into(), "core".into(), "lib".into()])
        );
    }

    #[test]
    fn what_others_need_stays() {
        let lines = ["app! lib", "lib"];
        assert_eq!(gone(&lines, &["lib"], false), Err("needed-by-others"));
        assert_eq!(gone(&lines, &["lib"], true), Ok(vec!["lib".into()]));
        assert_eq!(
            gone(&lines, &["app", "lib"], false),
            Ok(vec!["app".into(), "lib".into()])
        );
        assert_eq!(gone(&lines, &["nobody"], false), Err("not-installed"));
    }

    #[test]
    fn a_circle_of_dependencies_goes_as_a_whole_when_named() {
        let lines = ["one! two", "two one"];
        assert_eq!(
            gone(&lines, &["one", "two"], false),
            Ok(vec!["one".into(), "two".into()])
        );
    }
}
