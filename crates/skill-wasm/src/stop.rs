//! Ends a run from another thread.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A switch that is shared with a run; once stopped it stays so.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run soon, also while it sleeps.
    pub fn stop(&self) {
        *self
            .0
            .is_stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        *self
            .0
            .is_stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits this long, or until it is stopped.
    pub(crate) fn wait(&self, duration: Duration) {
        let is_stopped = self
            .0
            .is_stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A poisoned lock cannot happen: nothing panics while it is held.
        let _ = self
            .0
            .changed
            .wait_timeout_while(is_stopped, duration, |is_stopped| !*is_stopped);
    }
}
