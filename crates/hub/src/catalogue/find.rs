//! Finds what a path names: a skill by any spelling that counts as its name, a
//! version by its number or `latest`.

use http::StatusCode;
use hub_db::DbError;
use hub_model::{SkillRecord, VersionKeys, VersionRecord, VersionState};
use skill_format::SkillName;

use crate::App;
use crate::problem::Problem;

/// Why a path names nothing.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("there is no skill {name}")]
    NoSkill { name: String, nearest: Vec<String> },
    #[error("skill {name} has no version {version}")]
    NoVersion { name: String, version: String },
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NoSkill { name, nearest } => {
                let mut detail = format!("There is no skill named `{}` here.", cut(&name));
                if !nearest.is_empty() {
                    let quoted: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
                    detail.push_str(&format!(" Did you mean {}?", quoted.join(" or ")));
                }
                Self::new(StatusCode::NOT_FOUND, "skill-not-found", detail)
            }
            FindError::NoVersion { name, version } => Self::new(
                StatusCode::NOT_FOUND,
                "version-not-found",
                format!("The skill `{name}` has no version `{}`.", cut(&version)),
            ),
            FindError::Database(error) => error.into(),
        }
    }
}

/// A stranger's text, short enough to repeat.
pub(crate) fn cut(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The form of a name under which it is unique; `None` if no skill can have it.
pub fn name_key(name: &str) -> Option<String> {
    SkillName::parse(name)
        .ok()
        .map(|name| name.uniqueness_key())
}

/// The skill of this name, or of another spelling of it.
pub async fn skill(app: &App, name: &str) -> Result<SkillRecord, FindError> {
    if let Some(skill) = skill_if_any(app, name).await? {
        return Ok(skill);
    }
    Err(no_skill(app, name).await)
}

async fn skill_if_any(app: &App, name: &str) -> Result<Option<SkillRecord>, DbError> {
    let Some(key) = name_key(name) else {
        return Ok(None);
    };
    match app.db().skills().by_name(app.tenant(), name).await? {
        Some(skill) => Ok(Some(skill)),
        None => app.db().skills().by_key(app.tenant(), &key).await,
    }
}

/// The error for a name that nothing has, with names that it may have meant.
pub async fn no_skill(app: &App, name: &str) -> FindError {
    let (index, asked) = (app.search().clone(), name.to_owned());
    let nearest = tokio::task::spawn_blocking(move || index.nearest_names(&asked, NEAREST_MAX));
    let nearest = nearest.await.ok().and_then(Result::ok).unwrap_or_default();
    FindError::NoSkill {
        name: name.to_owned(),
        nearest,
    }
}

const NEAREST_MAX: usize = 3;

/// A version that can still be had. `version` is a number (build metadata does
/// not matter) or `latest`.
pub async fn version(
    app: &App,
    skill: &SkillRecord,
    version: &str,
) -> Result<VersionRecord, FindError> {
    let found = if version == "latest" {
        match &skill.latest {
            Some(latest) => app.db().versions().by_id(latest.id).await?,
            None => None,
        }
    } else {
        match identity(version) {
            Some(identity) => app.db().versions().by_identity(skill.id, &identity).await?,
            None => None,
        }
    };
    found
        .filter(|found| found.state != VersionState::Deleted)
        .ok_or_else(|| FindError::NoVersion {
            name: skill.name.clone(),
            version: version.to_owned(),
        })
}

/// The version without its build metadata; `None` if it is no version.
pub fn identity(version: &str) -> Option<String> {
    VersionKeys::parse(version).ok().map(|keys| keys.identity)
}
