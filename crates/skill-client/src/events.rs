//! What a long operation says while it works. Who shows it, and how, is the caller's business.

use std::cell::Cell;

use skill_format::{SkillName, Version};

use crate::api::Progress;
use crate::store::Repair;

/// Something that a person may want to know while they wait.
#[derive(Debug)]
pub enum Event<'a> {
    /// Another process is at work.
    Waiting {
        /// What is waited for: `the store /home/alice/.skills`.
        what: &'a str,
        /// Who has it, if they said so.
        holder: Option<&'a str>,
    },
    /// Something was mended that an earlier run or somebody else left.
    Repaired(&'a Repair),
    /// A repository is being fetched.
    Fetching { url: &'a str },
    /// Versions are being chosen.
    Resolving,
    /// An archive is on its way.
    Downloading {
        name: &'a SkillName,
        version: &'a Version,
        progress: Progress,
    },
    /// Everything is there and verified; the store is being changed.
    Installing { count: usize },
    /// A skill is being published.
    Publishing {
        name: &'a SkillName,
        version: &'a Version,
    },
}

/// Receives events. Called often: it decides what to show.
pub type Observer<'a> = dyn Fn(&Event<'_>) + 'a;

/// Reports that a lock is waited for.
pub(crate) fn waiting<'a>(
    observer: &'a Observer<'_>,
    what: &'a str,
) -> impl FnOnce(Option<&str>) + 'a {
    move |holder| observer(&Event::Waiting { what, holder })
}

/// Reports a download at most once per percent.
pub(crate) struct Throttle(Cell<Option<u64>>);

impl Throttle {
    pub fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Whether this much is news.
    pub fn is_due(&self, progress: Progress) -> bool {
        let percent = progress.received.saturating_mul(100) / progress.total.max(1);
        self.0.replace(Some(percent)) != Some(percent)
    }
}
