//! Bounds on what an instance can allocate.

use wasmi_core::{LimiterError, ResourceLimiter};

/// Elements of all tables together; compiled programs have some thousands.
const TABLE_ELEMENTS_MAX: usize = 1_000_000;
const TABLES_MAX: usize = 64;

/// Refuses growth in the way of the standard: the instruction says so to the program.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes: usize,
    table_elements: usize,
    /// It has asked for more memory than there is for it.
    pub was_refused: bool,
}

impl Limiter {
    pub fn new(memory_bytes: usize) -> Self {
        Self {
            memory_bytes,
            table_elements: 0,
            was_refused: false,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        let fits = desired <= self.memory_bytes;
        self.was_refused |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        let all = self.table_elements + desired.saturating_sub(current);
        let fits = all <= TABLE_ELEMENTS_MAX;
        if fits {
            self.table_elements = all;
        }
        self.was_refused |= !fits;
        Ok(fits)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        1
    }
}
