//! From the text of `skills.toml` to what it means. Every key is known or refused.

use std::path::PathBuf;

use jiff::SignedDuration;
use skill_format::Range;
use toml_edit::DocumentMut;

use super::{AgentSettings, Policy, ProjectSkill, ProjectSource, Suppression, Wishes};
use crate::toml_text::{Field, Fields, Source, TomlProblem};

pub(super) fn read(file: &str, text: &str) -> Result<(DocumentMut, Wishes), TomlProblem> {
    let source = Source { file, text };
    let document = source.parse()?;
    let root = Fields::root(source, document.as_table());
    root.allow(&[
        "skills",
        "agents",
        "registries",
        "overrides",
        "policy",
        "audit",
    ])?;
    let mut wishes = Wishes::default();
    if let Some(skills) = root.table("skills")? {
        for field in skills.iter() {
            let skill = skill(field)?;
            let installed = skill.installed_name().clone();
            let taken = |other: &ProjectSkill| *other.installed_name() == installed;
            if wishes.skills.values().any(taken) {
                let text = format!("two skills would be installed as `{installed}`");
                return Err(field
                    .problem(text)
                    .helped("give one of them another name with `as`"));
            }
            wishes.skills.insert(skill.name.clone(), skill);
        }
    }
    if let Some(agents) = root.table("agents")? {
        wishes.agents = agent_settings(&agents)?;
    }
    if let Some(registries) = root.table("registries")? {
        for field in registries.iter() {
            wishes
                .registries
                .insert(field.key.to_owned(), field.text()?.to_owned());
        }
    }
    if let Some(overrides) = root.table("overrides")? {
        for field in overrides.iter() {
            wishes.overrides.insert(field.name()?, field.parsed()?);
        }
    }
    if let Some(policy) = root.table("policy")? {
        wishes.policy = self::policy(&policy)?;
    }
    if let Some(audit) = root.table("audit")? {
        audit.allow(&["ignore"])?;
        for entry in audit.tables("ignore")? {
            wishes.suppressions.push(suppression(&entry)?);
        }
    }
    Ok((document.into_mut(), wishes))
}

fn skill(field: Field<'_, '_>) -> Result<ProjectSkill, TomlProblem> {
    let name = field.name()?;
    if field.item.as_str().is_some() {
        let range = field.parsed()?;
        return Ok(ProjectSkill {
            name,
            source: ProjectSource::Registry {
                range,
                registry: None,
            },
            alias: None,
            agents: None,
        });
    }
    let fields = field
        .table()
        .map_err(|_| field.problem("this must be a version range in quotes, or a table"))?;
    fields.allow(&["version", "registry", "path", "git", "rev", "as", "agents"])?;
    Ok(ProjectSkill {
        name,
        source: source(&fields)?,
        alias: fields.parsed("as")?,
        agents: fields.texts("agents")?,
    })
}

fn source(fields: &Fields<'_>) -> Result<ProjectSource, TomlProblem> {
    let path = fields.text("path")?;
    if let Some(url) = fields.text("git")? {
        refuse(
            fields,
            &["version", "registry"],
            "a skill from a repository",
        )?;
        return Ok(ProjectSource::Git {
            url: url.to_owned(),
            rev: fields.text("rev")?.map(str::to_owned),
            path: path.map(str::to_owned),
        });
    }
    if let Some(path) = path {
        refuse(
            fields,
            &["version", "registry", "rev"],
            "a skill from a folder",
        )?;
        return Ok(ProjectSource::Path(PathBuf::from(path)));
    }
    refuse(fields, &["rev"], "a skill from a registry")?;
    Ok(ProjectSource::Registry {
        range: fields.parsed("version")?.unwrap_or_else(Range::any),
        registry: fields.text("registry")?.map(str::to_owned),
    })
}

fn refuse(fields: &Fields<'_>, keys: &[&str], what: &str) -> Result<(), TomlProblem> {
    match keys.iter().find_map(|key| fields.get(key)) {
        Some(field) => Err(field.problem(format!("{what} has no `{}`", field.key))),
        None => Ok(()),
    }
}

fn agent_settings(fields: &Fields<'_>) -> Result<AgentSettings, TomlProblem> {
    fields.allow(&["install", "copy", "custom"])?;
    let mut settings = AgentSettings {
        install: fields.texts("install")?.unwrap_or_default(),
        copy: fields.flag("copy")?.unwrap_or(false),
        ..AgentSettings::default()
    };
    if let Some(custom) = fields.table("custom")? {
        for field in custom.iter() {
            let agent = field.table()?;
            agent.allow(&["project", "global"])?;
            let folders = (
                agent.text("project")?.map(str::to_owned),
                agent.text("global")?.map(str::to_owned),
            );
            if folders == (None, None) {
                return Err(agent.problem("an agent needs a `project` or a `global` folder"));
            }
            settings.custom.insert(field.key.to_owned(), folders);
        }
    }
    Ok(settings)
}

fn policy(fields: &Fields<'_>) -> Result<Policy, TomlProblem> {
    fields.allow(&["registry", "minimum-release-age", "allow-unsigned"])?;
    let age = fields.get("minimum-release-age").map(|field| {
        let text = field.text()?;
        duration(text).ok_or_else(|| {
            let problem = field.problem(format!("`{text}` is not a duration"));
            problem.helped("write hours, days or weeks: \"12h\", \"3d\", \"2w\"")
        })
    });
    Ok(Policy {
        registry: fields.text("registry")?.map(str::to_owned),
        minimum_release_age: age.transpose()?,
        allow_unsigned: fields.flag("allow-unsigned")?.unwrap_or(false),
    })
}

/// `12h`, `3d`, `2w`.
fn duration(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text
        .trim()
        .split_at_checked(text.trim().len().checked_sub(1)?)?;
    let hours_per_unit = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => return None,
    };
    // Ten years are more than any policy means, and far from any overflow.
    let number: i64 = number.trim().parse().ok()?;
    let hours = number.checked_mul(hours_per_unit)?;
    (0..=10 * 366 * 24)
        .contains(&hours)
        .then(|| SignedDuration::from_hours(hours))
}

fn suppression(fields: &Fields<'_>) -> Result<Suppression, TomlProblem> {
    fields.allow(&["id", "skill", "reason", "expires"])?;
    let reason: String = fields.required("reason")?;
    if reason.trim().is_empty() {
        return Err(fields.problem("an exception needs a `reason`"));
    }
    let expires = fields
        .get("expires")
        .map(|field| match field.item.as_datetime() {
            Some(date) => date
                .to_string()
                .parse()
                .map_err(|_| field.problem("this must be a day, as in 2027-01-31")),
            None => field.parsed(),
        });
    Ok(Suppression {
        id: fields.required("id")?,
        skill: fields.parsed("skill")?,
        reason,
        expires: expires.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_a_limit() {
        assert_eq!(duration("12h"), Some(SignedDuration::from_hours(12)));
        assert_eq!(duration(" 2w"), Some(SignedDuration::from_hours(14 * 24)));
        for wrong in ["", "3", "d", "-1d", "3 months", "99999999999999999d", "é"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
