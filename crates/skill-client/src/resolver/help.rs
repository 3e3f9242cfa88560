//! What to do where no versions fit together.

use std::collections::BTreeSet;

use skill_format::{SkillName, Version};

use super::explain::{Advice, Fact};

pub(super) fn conflict(advice: &[Advice], facts: &[Fact]) -> String {
    let tried: Vec<String> = advice.iter().map(Advice::to_string).collect();
    if !tried.is_empty() {
        return format!("any one of these works: {}", tried.join("; or "));
    }
    if let Some(help) = missing(facts) {
        return help;
    }
    let needed = facts.iter().find_map(|fact| match fact {
        Fact::Needs {
            needs, overridden, ..
        } if *overridden || ranges_of(facts, needs).len() > 1 => Some((needs, *overridden)),
        _ => None,
    });
    // What nothing else asks for has no version that fits the one range.
    let needed = needed.or_else(|| {
        facts.iter().find_map(|fact| match fact {
            Fact::NoVersion { skill, .. } => Some((skill, false)),
            _ => None,
        })
    });
    match needed {
        Some((needed, true)) => {
            format!("take {needed} out of [overrides] in skills.toml, or set another version there")
        }
        Some((needed, false)) => format!(
            "no single requirement can be relaxed to make it work; if you know that the skills work \
             with another version of {needed}, set it under [overrides] in skills.toml"
        ),
        None => "relax one of the requirements".into(),
    }
}

/// A dependency that cannot be had at all is no matter of ranges.
fn missing(facts: &[Fact]) -> Option<String> {
    let requirer = |missing: &SkillName| {
        facts.iter().find_map(|fact| match fact {
            Fact::Needs { skill, needs, .. } if needs == missing => Some(skill),
            _ => None,
        })
    };
    facts.iter().find_map(|fact| match fact {
        Fact::Unknown { skill, .. } => {
            let by = requirer(skill)?;
            Some(format!(
                "{by} needs {skill}, which this registry does not have: tell the publisher of {by}, or \
                 install {skill} from where it is first (--registry NAME, a folder, an archive or a git URL)"
            ))
        }
        Fact::NoVersion {
            skill,
            range,
            available,
            withdrawn: true,
            ..
        } => {
            let by = requirer(skill)?;
            let others = match available.is_empty() {
                true => String::new(),
                false => format!(
                    "; if {by} works with another version of it, set that under [overrides] in skills.toml"
                ),
            };
            Some(format!(
                "every version of {skill} that fits {range} was withdrawn: ask the publisher of {by} \
                 for a version that needs another one{others}"
            ))
        }
        _ => None,
    })
}

/// What is asked of a skill, by whomever.
fn ranges_of(facts: &[Fact], name: &SkillName) -> BTreeSet<String> {
    let asked = facts.iter().filter_map(|fact| match fact {
        Fact::Asked { skill, range, .. } if skill == name => Some(range.to_string()),
        Fact::Needs { needs, range, .. } if needs == name => Some(range.to_string()),
        _ => None,
    });
    asked.collect()
}

pub(super) fn no_version(available: &[Version], left_out: &[String]) -> String {
    let mut parts: Vec<String> = left_out.to_vec();
    if available.is_empty() {
        parts.push("there are no other versions".into());
    } else {
        let list: Vec<String> = available.iter().map(Version::to_string).collect();
        parts.push(format!("available: {}", list.join(", ")));
    }
    parts.join("; ")
}
