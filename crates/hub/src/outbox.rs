//! Follows the outbox after the commit: at once for this process's own commits,
//! within a second for those of other replicas. Knows no consumer.

use std::time::Duration;

use hub_db::{Db, EVENTS_PER_READ_MAX};
use hub_model::{Event, StoredEvent};
use tokio_util::sync::CancellationToken;

/// How long another replica's commit may go unnoticed.
const POLL_INTERVAL: Duration = Duration::from_millis(750);

/// After a failed read; the database is away or busy.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A place in the outbox that moves forward.
pub(crate) struct Follower {
    db: Db,
    /// The last event that was handed out.
    seq: i64,
}

/// What happened since the last look.
pub(crate) struct News {
    pub events: Vec<StoredEvent>,
    /// Events were purged before this follower saw them: anything may have changed.
    pub missed_some: bool,
}

impl Follower {
    /// Begins after what is committed now.
    pub(crate) async fn from_now(db: Db) -> hub_db::Result<Self> {
        let seq = db.events().last_seq().await?;
        Ok(Self { db, seq })
    }

    pub(crate) fn seq(&self) -> i64 {
        self.seq
    }

    /// The next events, as soon as there are any; `None` once stopped.
    pub(crate) async fn next(&mut self, stop: &CancellationToken) -> Option<News> {
        let mut commits = self.db.watch_commits();
        loop {
            commits.borrow_and_update();
            let pause = match self.db.events().after(self.seq, EVENTS_PER_READ_MAX).await {
                Ok(events) if !events.is_empty() => return Some(self.advance(events)),
                Ok(_) => POLL_INTERVAL,
                Err(error) => {
                    tracing::warn!(%error, "cannot read the outbox; trying again");
                    RETRY_DELAY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
                changed = commits.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                }
            }
        }
    }

    fn advance(&mut self, events: Vec<StoredEvent>) -> News {
        let missed_some = events
            .first()
            .is_some_and(|first| first.seq != self.seq + 1);
        if let Some(last) = events.last() {
            self.seq = last.seq;
        }
        News {
            events,
            missed_some,
        }
    }
}

/// The skill's name, if the event is about one.
pub(crate) fn skill_name(event: &Event) -> Option<&str> {
    match event {
        Event::SkillPublished { skill, .. } => Some(&skill.name),
        Event::VersionYanked { version, .. }
        | Event::VersionRestored { version, .. }
        | Event::VersionDeleted { version, .. } => Some(&version.name),
        Event::SkillDeprecated { skill, .. }
        | Event::SkillRated { skill, .. }
        | Event::OwnerAdded { skill, .. }
        | Event::OwnerRemoved { skill, .. } => Some(&skill.name),
        Event::KeyRegistered { .. }
        | Event::KeyRevoked { .. }
        | Event::KeyRemoved { .. }
        | Event::UserRegistered { .. }
        | Event::UserRoleChanged { .. }
        | Event::UserDisabled { .. }
        | Event::UserEnabled { .. }
        | Event::InvocationChanged { .. } => None,
    }
}
