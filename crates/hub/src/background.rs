//! What the hub does besides answering: keeps caches and the search index fresh
//! from the outbox, writes download counts, takes abandoned invocations over, sweeps and purges. Every task stops
//! at the same token, and a stop waits for all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use hub_db::{KeptSince, Result};
use hub_model::{IndexEntry, SkillId, StoredEvent, rating_rank};
use jiff::SignedDuration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::App;
use crate::blobs::sweep::sweep;
use crate::downloads::FLUSH_INTERVAL;
use crate::invoke::{keep_leases, resume};
use crate::outbox::{Follower, News, skill_name};
use crate::search::SearchDocument;

/// How often expired rows and orphaned blobs are looked for.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How often histogram samples are moved into their buckets.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// Events are kept this long for consumers that were away.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Skills read at a time when the index is built.
const INDEX_PAGE: u32 = 256;

/// Skills made visible at a time when the index is built.
const INDEX_BATCH: usize = 5_000;

#[derive(Default)]
pub(crate) struct Background {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Background {
    /// Starts everything. The followers begin before the first request can be
    /// answered, so nothing that is cached afterwards is missed.
    pub(crate) async fn start(&self, app: &App) -> Result<()> {
        let for_cache = Follower::from_now(app.db().clone()).await?;
        app.set_seen_seq(for_cache.seq());
        let for_search = Follower::from_now(app.db().clone()).await?;
        // Each task holds the app, so it lives until `stop` is called.
        self.tasks.spawn(invalidate_caches(app.clone(), for_cache));
        self.tasks.spawn(keep_index(app.clone(), for_search));
        self.tasks.spawn(write_downloads(app.clone()));
        self.tasks.spawn(tidy_metrics(app.clone()));
        self.tasks.spawn(keep_leases(app.clone()));
        self.tasks.spawn(resume(app.clone()));
        self.tasks.spawn(keep_house(app.clone()));
        self.tasks.close();
        Ok(())
    }

    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn invalidate_caches(app: App, mut follower: Follower) {
    let stop = app.stopping();
    while let Some(news) = follower.next(&stop).await {
        if news.missed_some {
            app.cache().clear();
        }
        for stored in &news.events {
            match stored.event() {
                Some(event) => {
                    if let (Some(id), Some(name)) = (event.skill_id(), skill_name(&event)) {
                        app.cache().invalidate(id, name);
                    }
                }
                None => app.cache().clear(),
            }
        }
        app.set_seen_seq(follower.seq());
    }
}

async fn keep_index(app: App, mut follower: Follower) {
    let stop = app.stopping();
    let built = tokio::select! {
        built = build_index(&app) => built,
        () = stop.cancelled() => return,
    };
    if !built {
        return;
    }
    app.set_search_ready();
    tracing::info!(skills = app.search().len(), "search index ready");
    while let Some(news) = follower.next(&stop).await {
        if news.missed_some || news.events.iter().any(|stored| stored.event().is_none()) {
            build_index(&app).await;
            continue;
        }
        refresh_index(&app, changed_skills(&news)).await;
    }
}

fn changed_skills(news: &News) -> BTreeSet<SkillId> {
    news.events
        .iter()
        .filter_map(StoredEvent::event)
        .filter_map(|event| event.skill_id())
        .collect()
}

/// Reads the whole catalogue into the index. Tries again until it succeeds or
/// the hub stops; `false` means stopped.
async fn build_index(app: &App) -> bool {
    let stop = app.stopping();
    loop {
        match fill_index(app).await {
            Ok(()) => return true,
            Err(error) => tracing::error!(%error, "cannot build the search index; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
}

async fn fill_index(app: &App) -> Result<()> {
    let (mut after, mut batch) = (None, Vec::new());
    loop {
        let page = app.db().skills().all_for_index(after, INDEX_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.skill.id);
        batch.extend(with_owners(app, page).await?);
        if batch.len() >= INDEX_BATCH {
            apply(app, std::mem::take(&mut batch)).await;
        }
    }
    apply(app, batch).await;
    Ok(())
}

/// Brings the index up to date with these skills. What cannot be read now is
/// logged and comes with the skill's next change or the next start.
pub(crate) async fn refresh_index(app: &App, skills: BTreeSet<SkillId>) {
    let mut entries = Vec::new();
    for id in skills {
        match app.db().skills().for_index(id).await {
            Ok(found) => entries.extend(found),
            Err(error) => tracing::error!(%error, skill = %id, "cannot index a changed skill"),
        }
    }
    match with_owners(app, entries).await {
        Ok(documents) => apply(app, documents).await,
        Err(error) => tracing::error!(%error, "cannot index changed skills"),
    }
}

/// A document to put in, or the skill to take out.
enum Change {
    Put(Box<SearchDocument>),
    Remove(SkillId),
}

async fn with_owners(app: &App, entries: Vec<IndexEntry>) -> Result<Vec<Change>> {
    let ids: Vec<SkillId> = entries.iter().map(|entry| entry.skill.id).collect();
    let mut owners = app.db().owners().of(&ids).await?;
    owners.sort_by_key(|owner| owner.skill_id);
    Ok(entries
        .into_iter()
        .map(|entry| {
            let id = entry.skill.id;
            let from = owners.partition_point(|owner| owner.skill_id < id);
            let of_skill = owners[from..]
                .iter()
                .take_while(|owner| owner.skill_id == id);
            let names = of_skill.map(|owner| owner.username.clone()).collect();
            change(entry, names)
        })
        .collect())
}

/// A skill without a version to install is not found.
fn change(entry: IndexEntry, owners: Vec<String>) -> Change {
    let skill = entry.skill;
    if skill.latest.is_none() {
        return Change::Remove(skill.id);
    }
    let frameworks = skill.about.frameworks.as_array().into_iter().flatten();
    Change::Put(Box::new(SearchDocument {
        frameworks: frameworks
            .filter_map(|framework| framework.get("name")?.as_str().map(str::to_owned))
            .collect(),
        id: skill.id,
        name: skill.name,
        title: first_heading(&entry.body).to_owned(),
        description: skill.about.description,
        author: skill.about.author,
        owners,
        tags: skill.about.tags,
        downloads: skill.downloads,
        rating: rating_rank(skill.rating.sum, skill.rating.count),
        updated_at: skill.updated_at,
        deprecated: skill.deprecated.is_some(),
    }))
}

/// The title of a Markdown text: its first heading.
fn first_heading(markdown: &str) -> &str {
    markdown
        .lines()
        .find_map(|line| line.strip_prefix("# "))
        .unwrap_or_default()
        .trim()
}

async fn apply(app: &App, changes: Vec<Change>) {
    if changes.is_empty() {
        return;
    }
    let index = app.search().clone();
    let outcome = tokio::task::spawn_blocking(move || {
        let (mut put, mut remove) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Put(document) => put.push(*document),
                Change::Remove(name) => remove.push(name),
            }
        }
        index.apply(&put, &remove)
    });
    match outcome.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the search index refused a change"),
        Err(error) => tracing::error!(%error, "the search index failed"),
    }
}

async fn write_downloads(app: App) {
    let stop = app.stopping();
    let mut tick = interval(FLUSH_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        flush_downloads(&app).await;
    }
}

/// Writes the counts now, and lets caches and the index know.
pub(crate) async fn flush_downloads(app: &App) {
    match app.downloads().flush(app.db()).await {
        Ok(skills) => {
            for (id, name) in &skills {
                app.cache().invalidate(*id, name);
            }
            refresh_index(app, skills.into_iter().map(|(id, _)| id).collect()).await;
        }
        Err(error) => tracing::warn!(%error, "cannot write download counts; trying again"),
    }
}

async fn tidy_metrics(app: App) {
    let stop = app.stopping();
    let mut tick = interval(TIDY_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => app.metrics().tidy(),
        }
    }
}

async fn keep_house(app: App) {
    let stop = app.stopping();
    let mut tick = interval(HOUSEKEEPING_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = clean(&app) => {}
        }
    }
}

async fn clean(app: &App) {
    let now = app.now();
    let kept_hours = i64::from(app.config().invoke.kept_hours);
    let kept = KeptSince {
        events: now - EVENTS_KEPT,
        invocations: now - SignedDuration::from_hours(kept_hours),
    };
    match app.db().purge_expired(now, kept).await {
        Ok(purged) => tracing::debug!(?purged, "purged expired rows"),
        Err(error) => tracing::warn!(%error, "cannot purge expired rows"),
    }
    rotate_signing_key(app).await;
    match sweep(app.blobs(), app.db(), now).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed archives that nothing refers to"),
        Err(error) => tracing::warn!(%error, "cannot sweep the blob store"),
    }
}

async fn rotate_signing_key(app: &App) {
    let auth = app.auth().clone();
    match tokio::task::spawn_blocking(move || auth.rotate_signing_key_if_due()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot rotate the signing key; the old one stays")
        }
        Err(error) => tracing::error!(%error, "rotating the signing key failed"),
    }
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
