//! Why an activity is not completed, or kept alive, by its token.

use abide_core::Code;

/// Why the holder of an activity's token is refused: [`Client::activity`](crate::Client::activity).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The attempt has ended or was given up, or its workflow has closed: its token is void.
    #[error(
        "{}: the token is void: this attempt of activity `{activity}` has ended (completed already, out of time, or \
         retried under another token), or its workflow does not wait for it any more: there is nothing to complete",
        Code::ActivityToken
    )]
    Void {
        /// The activity's name.
        activity: &'static str,
    },
    /// The text is not a token of this activity.
    #[error(
        "{}: no token of activity `{activity}`: {message}: pass on what `activity::context().completion_token()` gave, \
         and name the activity that gave it",
        Code::ActivityToken
    )]
    Invalid {
        /// The activity's name.
        activity: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The answer to a heartbeat: the workflow has cancelled the activity, and waits for its end.
    #[error(
        "{}: the workflow has cancelled activity `{activity}`, and waits for its end: stop the work, and complete the \
         token with what is done or with an error",
        Code::ActivityToken
    )]
    Cancelled {
        /// The activity's name.
        activity: &'static str,
    },
    /// The details of a heartbeat are over 256 KiB (`AB0620`).
    #[error(
        "{}: the details of a heartbeat are {bytes} bytes of JSON, and the limit is 256 KiB: tell where the \
         activity is, not what it has done so far",
        Code::HeartbeatTooLarge
    )]
    DetailsTooLarge {
        /// Their size.
        bytes: usize,
    },
}

impl TokenError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Void { .. } | Self::Invalid { .. } | Self::Cancelled { .. } => Code::ActivityToken.as_str(),
            Self::DetailsTooLarge { .. } => Code::HeartbeatTooLarge.as_str(),
        }
    }
}
