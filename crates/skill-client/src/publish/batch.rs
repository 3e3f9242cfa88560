//! A folder of many skills in one go: dependencies before what needs them, every skill accounted
//! for in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use skill_format::{Explain as _, Fault, SkillName};

use super::{
    Prepared, PublishError, PublishRequest, Published, Publisher, check_secrets, prepare,
    skill_paths,
};

/// What became of every skill that was named.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// In the order in which they were sent.
    pub published: Vec<Published>,
    pub failed: Vec<(PathBuf, PublishError)>,
    /// Not even tried.
    pub skipped: Vec<Skipped>,
    /// Agents' folders, from which nothing is published, with skills that no store has put there.
    pub left_out: Vec<PathBuf>,
    /// Folders that could not be looked into.
    pub unreadable: Vec<PathBuf>,
    /// Paths with too many folders to look into all of them.
    pub partial: Vec<PathBuf>,
}

/// A skill that was not tried, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub name: SkillName,
    pub path: PathBuf,
    /// A skill of this batch that it needs and that failed; `None` if the registry stopped answering.
    pub needs: Option<SkillName>,
}

impl BatchOutcome {
    /// Whether nothing failed and nothing was skipped.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

impl Publisher<'_> {
    /// Publishes every skill below the paths. One that is refused does not stop those that do not
    /// need it; a registry that cannot be reached, or that does not let this user in, stops all.
    ///
    /// The error is for paths that hold no skill at all.
    pub async fn publish_all(
        &self,
        request: &PublishRequest,
    ) -> Result<BatchOutcome, PublishError> {
        let mut outcome = BatchOutcome::default();
        let mut prepared = Vec::new();
        let paths = skill_paths(request, &mut outcome)?;
        let is_batch = paths.len() > 1;
        for path in paths {
            let skill = match prepare(&path, request.version.as_ref()) {
                // Of many skills, the given version is for those that state none.
                Err(PublishError::OtherVersion { .. }) if is_batch => prepare(&path, None),
                prepared => prepared,
            };
            let skill = match request.allow_secret_files {
                true => skill,
                false => skill.and_then(check_secrets),
            };
            match skill {
                Ok(skill) => prepared.push(skill),
                Err(error) => outcome.failed.push((path, error)),
            }
        }
        let mut lost: BTreeSet<SkillName> = BTreeSet::new();
        let mut queue = in_dependency_order(prepared).into_iter();
        while let Some(skill) = queue.next() {
            let name = skill.manifest.name.clone();
            if let Some(needs) = skill
                .manifest
                .dependencies
                .skills
                .keys()
                .find(|needed| lost.contains(*needed))
            {
                outcome.skipped.push(Skipped {
                    name: name.clone(),
                    path: skill.path,
                    needs: Some(needs.clone()),
                });
                lost.insert(name);
                continue;
            }
            match self.publish(&skill, request).await {
                Ok(published) => outcome.published.push(published),
                Err(error) => {
                    let stops = stops_all(&error);
                    outcome.failed.push((skill.path, error));
                    lost.insert(name);
                    if stops {
                        let rest = queue.by_ref();
                        outcome.skipped.extend(rest.map(|skill| Skipped {
                            name: skill.manifest.name,
                            path: skill.path,
                            needs: None,
                        }));
                    }
                }
            }
        }
        Ok(outcome)
    }
}

/// Whether the next skill would meet the same.
fn stops_all(error: &PublishError) -> bool {
    error.fault() == Fault::Unavailable
        || matches!(
            error.code(),
            "authentication-required" | "session-ended" | "invalid-token"
        )
}

/// Dependencies first, else by name. Skills that need each other in a circle keep that order.
fn in_dependency_order(skills: Vec<Prepared>) -> Vec<Prepared> {
    let mut waiting: BTreeMap<SkillName, Vec<Prepared>> = BTreeMap::new();
    for skill in skills {
        waiting
            .entry(skill.manifest.name.clone())
            .or_default()
            .push(skill);
    }
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |(name, skills): &(&SkillName, &Vec<Prepared>)| {
            let mut needs = skills
                .iter()
                .flat_map(|skill| skill.manifest.dependencies.skills.keys());
            !needs.any(|needed| needed != *name && waiting.contains_key(needed))
        };
        let ready: Vec<SkillName> = waiting
            .iter()
            .filter(is_ready)
            .map(|(name, _)| name.clone())
            .collect();
        let next = if ready.is_empty() {
            waiting.keys().take(1).cloned().collect()
        } else {
            ready
        };
        for name in next {
            let mut versions = waiting.remove(&name).unwrap_or_default();
            // Several versions of one skill: the oldest first, so that the newest is the last published.
            versions.sort_by(|a, b| a.version.cmp(&b.version));
            ordered.extend(versions);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(dir: &std::path::Path, name: &str, needs: &[&str]) -> Prepared {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).expect("mkdir");
        let md = format!(
            "---\nname: {name}\ndescription: Does something that a test needs.\n---\nDo it.\n"
        );
        std::fs::write(folder.join("SKILL.md"), md).expect("write");
        let needs: String = needs
            .iter()
            .map(|needed| format!("  {needed}: \"*\"\n"))
            .collect();
        let dependencies = if needs.is_empty() {
            String::new()
        } else {
            format!("dependencies:\n{needs}")
        };
        let yaml = format!(
            "name: {name}\nversion: 1.0.0\ndescription: Does something that a test needs.\n{dependencies}"
        );
        std::fs::write(folder.join("skill.yaml"), yaml).expect("write");
        prepare(&folder, None).expect("a valid skill")
    }

    #[test]
    fn dependencies_come_first_and_circles_end() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let skills = vec![
            skill(dir.path(), "app", &["lib", "zed"]),
            skill(dir.path(), "lib", &["zed"]),
            skill(dir.path(), "zed", &["elsewhere"]),
            skill(dir.path(), "one", &["two"]),
            skill(dir.path(), "two", &["one"]),
        ];
        let order: Vec<_> = in_dependency_order(skills)
            .iter()
            .map(|skill| skill.manifest.name.to_string())
            .collect();
        assert_eq!(order, ["zed", "lib", "app", "one", "two"]);
    }
}
