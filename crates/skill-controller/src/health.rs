//! What the controller tells of itself: whether it is ready, and figures for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::api::ApiError;
use crate::election::Role;
use crate::status::Outcome;

/// Figures that only grow, and what is the case.
#[derive(Debug, Default)]
pub struct Health {
    answered: AtomicBool,
    leads: AtomicBool,
    topics: AtomicUsize,
    applied: AtomicU64,
    refused: AtomicU64,
    conflicts: AtomicU64,
    not_applied: AtomicU64,
    failed: AtomicU64,
}

impl Health {
    /// The replica's role: the API server has answered.
    pub fn role(&self, role: Role) {
        self.answered.store(true, Ordering::Relaxed);
        self.leads.store(role == Role::Leader, Ordering::Relaxed);
    }

    pub(crate) fn listed(&self, topics: usize) {
        self.answered.store(true, Ordering::Relaxed);
        self.topics.store(topics, Ordering::Relaxed);
    }

    pub(crate) fn looked(&self, result: &Result<Outcome, ApiError>) {
        let counter = match result {
            Ok(Outcome::Applied { .. }) => &self.applied,
            Ok(Outcome::Refused { .. }) => &self.refused,
            Ok(Outcome::Conflict { .. }) => &self.conflicts,
            Ok(Outcome::NotApplied { .. }) => &self.not_applied,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The Prometheus text.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "# HELP skills_controller_leader Whether this replica leads.\n\
             # TYPE skills_controller_leader gauge\n\
             skills_controller_leader {}\n\
             # HELP skills_controller_topics SkillTopics that are looked after.\n\
             # TYPE skills_controller_topics gauge\n\
             skills_controller_topics {}\n\
             # HELP skills_controller_reconciles_total Looks at a SkillTopic, by what came of them.\n\
             # TYPE skills_controller_reconciles_total counter\n",
            u8::from(self.leads.load(Ordering::Relaxed)),
            self.topics.load(Ordering::Relaxed),
        );
        for (outcome, counter) in [
            ("applied", &self.applied),
            ("refused", &self.refused),
            ("conflict", &self.conflicts),
            ("not_applied", &self.not_applied),
            ("failed", &self.failed),
        ] {
            let _ = writeln!(
                text,
                "skills_controller_reconciles_total{{outcome=\"{outcome}\"}} {}",
                figure(counter)
            );
        }
        text
    }

    /// Whether the Kubernetes API has answered.
    pub fn is_ready(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }
}
