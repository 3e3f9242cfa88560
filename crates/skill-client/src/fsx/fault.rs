//! Named moments between the steps that must survive a crash, so that a test can end the process
//! at each of them.

/// Told before each step that changes a store or the cache.
///
/// The product uses [`NoFaults`]. A crash test passes one that ends the process at the chosen step
/// and then checks that the next run repairs what was left.
pub trait FaultPoint: Send + Sync {
    /// `step` is a stable name such as `store-index-written`.
    fn reach(&self, step: &'static str);
}

/// Lets every step pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl FaultPoint for NoFaults {
    fn reach(&self, _step: &'static str) {}
}
