//! Compensations that a workflow registered (PROTOCOL 30). They belong to the execution, because Rust has no
//! async drop. The executor runs them when `run` fails or is cancelled.

use crate::failure::FailureRecord;
use crate::future::LocalBoxFuture;

/// A registered compensation. It runs once, and returns its failure if it fails.
pub(crate) type Compensation = LocalBoxFuture<Option<FailureRecord>>;

/// The compensations of all sagas of the execution, as one stack; see the head of this module.
#[derive(Default)]
pub(crate) struct Compensations {
    stack: Vec<(u64, Compensation)>,
    sagas: u64,
    failures: Vec<FailureRecord>,
}

impl Compensations {
    pub(crate) fn new_saga(&mut self) -> u64 {
        self.sagas += 1;
        self.sagas
    }

    pub(crate) fn push(&mut self, saga: u64, compensation: Compensation) {
        self.stack.push((saga, compensation));
    }

    /// Takes the newest compensation, of one saga or of all.
    pub(crate) fn pop(&mut self, saga: Option<u64>) -> Option<Compensation> {
        let mine = |(of, _): &(u64, Compensation)| saga.is_none_or(|saga| saga == *of);
        let newest = self.stack.iter().rposition(mine)?;
        let oldest = mutant!(CompensateForwards).then(|| self.stack.iter().position(mine)).flatten();
        Some(self.stack.remove(oldest.unwrap_or(newest)).1)
    }

    /// Removes the compensations of one saga, and returns them. The caller drops them while no cell is
    /// borrowed.
    pub(crate) fn forget(&mut self, saga: u64) -> Vec<Compensation> {
        let (gone, kept) = std::mem::take(&mut self.stack).into_iter().partition(|(of, _)| *of == saga);
        self.stack = kept;
        let gone: Vec<_> = gone;
        gone.into_iter().map(|(_, compensation)| compensation).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    pub(crate) fn failed(&mut self, failure: FailureRecord) {
        self.failures.push(failure);
    }

    /// Whether one has failed, so that its step is not undone.
    pub(crate) fn any_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    pub(crate) fn take_failures(&mut self) -> Vec<FailureRecord> {
        std::mem::take(&mut self.failures)
    }

    pub(crate) fn take_all(&mut self) -> Vec<(u64, Compensation)> {
        std::mem::take(&mut self.stack)
    }
}
