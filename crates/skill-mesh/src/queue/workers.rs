//! A topic's waiting requests and its workers, ordered by how busy they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::WorkerId;

/// One worker's subscription of one topic.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) topic: Arc<str>,
    slots: usize,
    /// Numbers of the requests that it has.
    pub(super) running: BTreeSet<u64>,
    /// When it last got a request, counted in requests: among equally busy ones the longest idle is next.
    last: u64,
    retired: bool,
}

impl Worker {
    pub(super) fn new(topic: Arc<str>, slots: usize) -> Self {
        Self {
            topic,
            slots,
            running: BTreeSet::new(),
            last: 0,
            retired: false,
        }
    }

    fn rank(&self, id: WorkerId) -> Option<(usize, u64, WorkerId)> {
        let free = !self.retired && self.running.len() < self.slots;
        free.then_some((self.running.len(), self.last, id))
    }
}

#[derive(Debug, Default)]
pub(super) struct Topic {
    waiting: BTreeSet<u64>,
    /// Workers with a free slot, least busy first. Kept equal to every member's rank.
    free: BTreeSet<(usize, u64, WorkerId)>,
    members: BTreeSet<WorkerId>,
}

impl Topic {
    pub(super) fn wait(&mut self, number: u64) {
        self.waiting.insert(number);
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.waiting.remove(&number);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.first().copied()
    }

    pub(super) fn members(&self) -> &BTreeSet<WorkerId> {
        &self.members
    }

    pub(super) fn is_unused(&self) -> bool {
        self.waiting.is_empty() && self.members.is_empty()
    }

    /// The oldest request and the least busy worker, taken out of both lists.
    pub(super) fn pair(&mut self) -> Option<(u64, WorkerId)> {
        let (_, _, id) = *self.free.first()?;
        let number = self.waiting.pop_first()?;
        Some((number, id))
    }

    pub(super) fn take(&mut self, worker: &mut Worker, id: WorkerId, number: u64) {
        self.rerank(worker, id, |worker| {
            worker.running.insert(number);
            worker.last = number + 1;
        });
    }

    pub(super) fn put_back(&mut self, worker: &mut Worker, id: WorkerId, number: u64) {
        self.rerank(worker, id, |worker| {
            worker.running.remove(&number);
        });
    }

    pub(super) fn join(&mut self, worker: &mut Worker, id: WorkerId) {
        self.members.insert(id);
        self.rerank(worker, id, |_| ());
    }

    pub(super) fn retire(&mut self, worker: &mut Worker, id: WorkerId) {
        self.rerank(worker, id, |worker| worker.retired = true);
    }

    pub(super) fn leave(&mut self, worker: &mut Worker, id: WorkerId) {
        self.retire(worker, id);
        self.members.remove(&id);
    }

    fn rerank(&mut self, worker: &mut Worker, id: WorkerId, change: impl FnOnce(&mut Worker)) {
        if let Some(rank) = worker.rank(id) {
            self.free.remove(&rank);
        }
        change(worker);
        if let Some(rank) = worker.rank(id) {
            self.free.insert(rank);
        }
    }
}
