//! What a start does where its workflow id is taken.

/// What a start does where a *closed* run has its workflow id. Temporal's names and default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdReusePolicy {
    /// Start another run.
    #[default]
    AllowDuplicate,
    /// Start another run only if the newest closed one did not complete; else `AB0402`.
    AllowDuplicateFailedOnly,
    /// Refuse: `AB0402`.
    RejectDuplicate,
}

/// What a start does where an *open* run has its workflow id. Temporal's names and default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdConflictPolicy {
    /// Refuse: `AB0401`.
    #[default]
    Fail,
    /// Give a handle of the open run.
    UseExisting,
    /// Terminate the open run and start another.
    TerminateExisting,
}
