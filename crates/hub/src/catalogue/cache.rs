//! Rendered metadata in memory. Entries leave when their skill changes (the
//! outbox says so), when memory runs out, and after [`TIME_TO_LIVE`].
//!
//! A reader that raced with a change must not put the old state back: it notes
//! the number of invalidations before it reads the database, and takes its entry
//! out again if that number has moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use http::{HeaderMap, StatusCode};
use hub_model::SkillId;
use moka::sync::Cache;
use serde::Serialize;

use super::body::SkillBody;
use crate::conditional;
use crate::metrics::HubMetrics;
use crate::problem::Problem;

/// Download counts of other replicas reach an entry at the latest after this
/// time; everything else is announced by an event.
const TIME_TO_LIVE: Duration = Duration::from_secs(600);

/// Summaries are small and only search uses them.
const SUMMARIES_MAX: u64 = 20_000;

/// What an entry costs besides its texts: the map's node, reference counts, the tag.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// Cheap to clone.
#[derive(Clone)]
pub struct MetadataCache {
    details: Cache<String, Rendered>,
    summaries: Cache<SkillId, Arc<SkillBody>>,
    invalidations: Arc<AtomicU64>,
    metrics: HubMetrics,
}

/// A JSON body with its entity tag. Cheap to clone.
#[derive(Clone)]
pub struct Rendered {
    body: Bytes,
    etag: HeaderValue,
}

/// The state of the cache when a look-up missed; see the module.
#[derive(Clone, Copy)]
pub struct Missed(u64);

impl MetadataCache {
    pub(crate) fn new(bytes_max: u64, metrics: HubMetrics) -> Self {
        let weight = |name: &String, rendered: &Rendered| {
            let bytes = name.len() + rendered.body.len() + ENTRY_OVERHEAD_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            details: Cache::builder()
                .max_capacity(bytes_max)
                .weigher(weight)
                .time_to_live(TIME_TO_LIVE)
                .build(),
            summaries: Cache::builder()
                .max_capacity(SUMMARIES_MAX)
                .time_to_live(TIME_TO_LIVE)
                .build(),
            invalidations: Arc::default(),
            metrics,
        }
    }

    /// The page of a skill, by its exact name.
    pub fn detail(&self, name: &str) -> Result<Rendered, Missed> {
        let before = self.invalidations.load(Ordering::Acquire);
        let found = self.details.get(name);
        self.metrics.cache(found.is_some());
        found.ok_or(Missed(before))
    }

    pub fn put_detail(&self, name: &str, rendered: Rendered, missed: Missed) {
        self.details.insert(name.to_owned(), rendered);
        if self.invalidations.load(Ordering::Acquire) != missed.0 {
            self.details.invalidate(name);
        }
    }

    pub fn summary(&self, id: SkillId) -> Option<Arc<SkillBody>> {
        self.summaries.get(&id)
    }

    /// To be called before the database is read for [`MetadataCache::put_summary`].
    pub fn before_reading(&self) -> Missed {
        Missed(self.invalidations.load(Ordering::Acquire))
    }

    pub fn put_summary(&self, id: SkillId, summary: Arc<SkillBody>, missed: Missed) {
        self.summaries.insert(id, summary);
        if self.invalidations.load(Ordering::Acquire) != missed.0 {
            self.summaries.invalidate(&id);
        }
    }

    /// Forgets a skill.
    pub fn invalidate(&self, id: SkillId, name: &str) {
        self.invalidations.fetch_add(1, Ordering::AcqRel);
        self.details.invalidate(name);
        self.summaries.invalidate(&id);
    }

    /// Forgets everything: after an event that this program does not understand.
    pub(crate) fn clear(&self) {
        self.invalidations.fetch_add(1, Ordering::AcqRel);
        self.details.invalidate_all();
        self.summaries.invalidate_all();
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.details.weighted_size()
    }
}

impl Rendered {
    /// Serialises and tags `value`.
    pub fn json(value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(Problem::internal)?;
        Ok(Self {
            etag: conditional::weak_tag(&body),
            body: body.into(),
        })
    }

    /// The answer to a GET: 304 if the client has this already.
    pub fn answer(&self, request: &HeaderMap, is_private: bool) -> Response {
        let cache_control = if is_private {
            "private, no-cache"
        } else {
            "public, no-cache"
        };
        let tags = [
            (ETAG, self.etag.clone()),
            (CACHE_CONTROL, HeaderValue::from_static(cache_control)),
        ];
        if conditional::none_match(request, &self.etag) {
            return (StatusCode::NOT_MODIFIED, tags).into_response();
        }
        let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (tags, json, Body::from(self.body.clone())).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> MetadataCache {
        let metrics = HubMetrics::of_process().expect("metrics");
        MetadataCache::new(1024 * 1024, metrics)
    }

    fn id() -> SkillId {
        "00000000-0000-7000-8000-000000000001"
            .parse()
            .expect("an id")
    }

    fn rendered(text: &str) -> Rendered {
        Rendered::json(&text).expect("renders")
    }

    #[test]
    fn what_was_put_is_found_until_it_is_invalidated() {
        let cache = cache();
        let Err(missed) = cache.detail("a") else {
            panic!("an empty cache found something")
        };
        cache.put_detail("a", rendered("1"), missed);
        assert!(cache.detail("a").is_ok());
        cache.invalidate(id(), "a");
        assert!(cache.detail("a").is_err());
    }

    #[test]
    fn a_reader_that_raced_with_a_change_leaves_nothing_behind() {
        let cache = cache();
        let Err(missed) = cache.detail("a") else {
            panic!("an empty cache found something")
        };
        cache.invalidate(id(), "a");
        cache.put_detail("a", rendered("old"), missed);
        assert!(cache.detail("a").is_err());
    }
}
