//! Skills as lists show them, with their versions and owners: two more queries
//! for a page, none for what is cached.

use std::collections::HashMap;
use std::sync::Arc;

use hub_db::DbError;
use hub_model::{SkillId, SkillRecord};

use super::body::SkillBody;
use crate::App;

/// Versions that a list shows of each skill; its own page shows all.
const VERSIONS_SHOWN: u32 = 100;

/// The bodies of `skills`, in their order.
pub async fn of_records(
    app: &App,
    skills: Vec<SkillRecord>,
) -> Result<Vec<Arc<SkillBody>>, DbError> {
    let ids: Vec<SkillId> = skills.iter().map(|skill| skill.id).collect();
    let (mut versions, mut owners) = tokio::try_join!(
        async {
            app.db()
                .versions()
                .numbers_of(&ids, VERSIONS_SHOWN)
                .await
                .map(grouped)
        },
        async {
            let owners = app.db().owners().of(&ids).await?;
            Ok(grouped(
                owners
                    .into_iter()
                    .map(|owner| (owner.skill_id, owner.username)),
            ))
        },
    )?;
    let bodies = skills.into_iter().map(|skill| {
        let versions = versions.remove(&skill.id).unwrap_or_default();
        let owners = owners.remove(&skill.id).unwrap_or_default();
        Arc::new(SkillBody::new(skill, versions, owners, app.links()))
    });
    Ok(bodies.collect())
}

/// The bodies of those of `ids` that still exist, by id.
pub async fn of_ids(
    app: &App,
    ids: &[SkillId],
) -> Result<HashMap<SkillId, Arc<SkillBody>>, DbError> {
    let mut found = HashMap::with_capacity(ids.len());
    let mut missing = Vec::new();
    let missed = app.cache().before_reading();
    for id in ids {
        match app.cache().summary(*id) {
            Some(body) => {
                found.insert(*id, body);
            }
            None => missing.push(*id),
        }
    }
    let records = app.db().skills().by_ids(&missing).await?;
    let read: Vec<SkillId> = records.iter().map(|record| record.id).collect();
    for (id, body) in read.into_iter().zip(of_records(app, records).await?) {
        app.cache().put_summary(id, Arc::clone(&body), missed);
        found.insert(id, body);
    }
    Ok(found)
}

fn grouped<T>(pairs: impl IntoIterator<Item = (SkillId, T)>) -> HashMap<SkillId, Vec<T>> {
    let mut groups: HashMap<SkillId, Vec<T>> = HashMap::new();
    for (id, value) in pairs {
        groups.entry(id).or_default().push(value);
    }
    groups
}
