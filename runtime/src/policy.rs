//! What a start does if its workflow id is already used.

/// What a start does if a *closed* run has its workflow id. Temporal's names and default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdReusePolicy {
    /// Start another run.
    #[default]
    AllowDuplicate,
    /// Start another run only if the newest closed run did not complete; otherwise `AB0402`.
    AllowDuplicateFailedOnly,
    /// Refuse: `AB0402`.
    RejectDuplicate,
}

/// What a start does if an *open* run has its workflow id. Temporal's names and default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdConflictPolicy {
    /// Refuse: `AB0401`.
    #[default]
    Fail,
    /// Return a handle of the open run.
    UseExisting,
    /// Terminate the open run and start another.
    TerminateExisting,
}
