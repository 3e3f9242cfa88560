//! An update of everything goes on without the skills that cannot be updated: each stays as it is,
//! with the reason.

use std::collections::BTreeSet;

use serde::Serialize;
use skill_format::SkillName;

use super::error::Why;
use super::local::LocalSkill;
use super::{InstallError, InstallRequest, Wanted};
use crate::index::Index;
use crate::source::{Origin, SkillSource};
use crate::verify::TrustError;

/// An installed skill that an update left as it is, because something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldBack {
    pub name: SkillName,
    #[serde(flatten)]
    pub why: Why,
}

impl HeldBack {
    pub(super) fn of(name: &SkillName, error: &InstallError) -> Self {
        Self {
            name: name.clone(),
            why: Why::of(error),
        }
    }
}

/// An error before anything was changed, and the skill it is about, if that is known.
#[derive(Debug)]
pub(super) struct Setback {
    pub skill: Option<SkillName>,
    pub error: InstallError,
}

impl Setback {
    pub fn of(skill: &SkillName, error: impl Into<InstallError>) -> Self {
        Self {
            skill: Some(skill.clone()),
            error: error.into(),
        }
    }
}

impl<E: Into<InstallError>> From<E> for Setback {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            skill: error.skill().cloned(),
            error,
        }
    }
}

/// What fails for every skill alike is not tried again for each.
fn is_common(error: &InstallError) -> bool {
    match error {
        InstallError::Store(_) | InstallError::Cache(_) => true,
        InstallError::Trust(error) => {
            matches!(**error, TrustError::Pins(_) | TrustError::Keyring(_))
        }
        _ => false,
    }
}

impl Wanted {
    /// The name it will be installed under, where that is known beforehand.
    pub fn installed_name(&self) -> Option<&SkillName> {
        let own = match &self.source {
            SkillSource::Registry { name, .. } => Some(name),
            _ => self.only.as_ref(),
        };
        self.alias.as_ref().or(own)
    }
}

impl InstallRequest {
    /// Leaves these installed skills as they are.
    fn hold(&mut self, names: &BTreeSet<SkillName>, error: &InstallError) {
        self.update.retain(|name| !names.contains(name));
        self.wanted.retain(|wanted| {
            wanted
                .installed_name()
                .is_none_or(|name| !names.contains(name))
        });
        let held = names.iter().map(|name| HeldBack::of(name, error));
        self.held.extend(held);
    }

    /// The same request without the skill that failed, if nobody named it and it is installed. A
    /// registry that fails holds back all that came from it: it is not asked for each again.
    pub(super) fn without(
        &self,
        setback: &Setback,
        locals: &mut Vec<LocalSkill>,
        index: &Index,
    ) -> Option<Self> {
        let failed = setback.skill.as_ref().filter(|_| self.unnamed)?;
        if is_common(&setback.error) {
            return None;
        }
        let installed = index.get(failed)?;
        let mut names = BTreeSet::from([failed.clone()]);
        if let (InstallError::Api(_), Origin::Registry(_)) = (&setback.error, &installed.source) {
            let same = index.skills().iter();
            let same = same.filter(|skill| skill.source == installed.source);
            names.extend(same.map(|skill| skill.name.clone()));
        }
        names.retain(|name| self.is_about(name));
        if !names.contains(failed) {
            return None;
        }
        let mut smaller = self.clone();
        smaller.hold(&names, &setback.error);
        locals.retain(|local| !names.contains(&local.name));
        // With nothing else to do it is an error like any other, if it says what it is about.
        let is_all = smaller.update.is_empty() && smaller.wanted.is_empty() && self.held.is_empty();
        let speaks =
            setback.error.skill().is_some() || matches!(setback.error, InstallError::Api(_));
        (!is_all || !speaks).then_some(smaller)
    }

    fn is_about(&self, name: &SkillName) -> bool {
        let mut wanted = self.wanted.iter().filter_map(Wanted::installed_name);
        self.update.contains(name) || wanted.any(|wanted| wanted == name)
    }
}
