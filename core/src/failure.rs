//! Errors as history keeps them and as workflow code sees them. Kinds are closed and text is stored, never made
//! again, so that a replayed error is identical byte for byte.

use crate::chain::Chain;
use crate::exec::context;
use crate::outcome::Fault;
use crate::payload::{Payload, PayloadError};
use crate::text::{bounded, bounded_chain, causes, unsaid, write_causes};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Which limit ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeoutKind {
    /// One attempt took too long.
    StartToClose,
    /// All attempts together took too long.
    ScheduleToClose,
    /// No slot was free in time.
    ScheduleToStart,
    /// No heartbeat arrived in time.
    Heartbeat,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartToClose => "start-to-close",
            Self::ScheduleToClose => "schedule-to-close",
            Self::ScheduleToStart => "schedule-to-start",
            Self::Heartbeat => "heartbeat",
        })
    }
}

/// What kind of failure a [`FailureRecord`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// User code returned an error; `data` holds it.
    Application,
    /// A limit ran out.
    TimedOut(TimeoutKind),
    /// It was cancelled.
    Cancelled,
    /// User code panicked.
    Panicked,
    /// Its worker died with it.
    WorkerLost,
    /// Its worker shut down before it ended.
    WorkerShutdown,
    /// The engine refused its input or result (too large, not encodable).
    Invalid,
}

/// A failure in history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// What kind of failure.
    pub kind: FailureKind,
    /// Its `Display` text.
    pub message: String,
    /// The texts of its `source()` chain, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The typed error, encoded.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub data: Option<Payload>,
    /// Where a time limit ran out: how the attempts before had failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<FailureRecord>>,
}

/// What is there is a typed error, even where it is `null`: so is one without fields, `struct NotFound;`.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(field).map(Some)
}

impl FailureRecord {
    /// A failure without a typed error. Its text is bounded to 8 KiB.
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { kind, message: bounded(message), chain: Vec::new(), data: None, cause: None }
    }

    /// A time limit that ran out after `last` is told with it. Where `last` was a time limit too, its own cause says more; one kind
    /// is told once, so that a chain has no more links than there are kinds.
    pub(crate) fn caused_by(mut self, last: Option<&Self>) -> Self {
        if let (FailureKind::TimedOut(_), Some(last)) = (self.kind, last) {
            self.cause = match &last.cause {
                Some(cause) => Some(cause.clone()),
                None if last.kind == self.kind => None,
                None => Some(Box::new(last.clone())),
            };
        }
        self
    }
}

impl FailureRecord {
    /// The bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let data = self.data.as_ref().map_or(0, |data| data.as_json().len());
        let cause = self.cause.as_ref().map_or(0, |cause| cause.bytes());
        self.message.len() + self.chain.iter().map(String::len).sum::<usize>() + data + cause
    }
}

impl fmt::Display for FailureRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let chain = self.chain.iter().map(String::as_str);
        unsaid(&self.message, chain).try_for_each(|cause| write!(f, ": {cause}"))?;
        self.cause.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// Any error, as history can keep it: text and chain. Like `anyhow::Error`, `?` turns every `std::error::Error` into
/// one, and it is not itself a `std::error::Error`. Use it where a workflow or activity needs no typed error.
///
/// ```
/// use abide_core::Failure;
/// fn parse(s: &str) -> Result<u32, Failure> {
///     Ok(s.parse::<u32>()?)
/// }
/// assert_eq!(parse("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// `?` on the error of an activity, whose type is [`ActivityError<Failure>`](ActivityError), gives the activity's own
/// `Failure` back where it has failed: with its causes, its typed error and whether a retry may mend it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(default, skip_serializing_if = "Chain::is_empty")]
    chain: Chain,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    data: Option<Payload>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    non_retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_retry_delay: Option<Duration>,
}

impl Failure {
    /// A failure with this text. Of one that is longer than 8 KiB the head and the tail are kept.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            message: bounded(message),
            chain: Chain::default(),
            data: None,
            non_retryable: false,
            next_retry_delay: None,
        }
    }

    /// Keeps the error's text and chain, and the error itself, to be read back by [`Failure::downcast`]. Fails where it
    /// cannot be encoded (`AB0403`, `AB0405`) or would not come back (`AB0216`, `AB0217`).
    pub fn typed<E: Error + Serialize + DeserializeOwned>(error: &E) -> Result<Self, PayloadError> {
        let data = Some(Payload::keep(error)?);
        Ok(Self { data, ..Self::from_error(error) })
    }

    /// The typed error kept by [`Failure::typed`], if it is an `E`.
    pub fn downcast<E: DeserializeOwned>(&self) -> Option<E> {
        self.data.as_ref()?.decode().ok()
    }

    /// Says what was being done: this text becomes the message, and the message so far the outermost cause. The typed error
    /// stays, and whether a retry may mend it. As `anyhow`'s.
    ///
    /// ```
    /// use abide_core::Failure;
    /// fn read(name: &str) -> Result<String, Failure> {
    ///     std::fs::read_to_string(name).map_err(|error| Failure::from(error).context(format!("reading {name}")))
    /// }
    /// let failure = read("no-such.csv").unwrap_err();
    /// assert_eq!(failure.to_string(), "reading no-such.csv");
    /// assert_eq!(failure.chain().count(), 1);
    /// ```
    #[must_use]
    pub fn context(mut self, text: impl fmt::Display) -> Self {
        let message = std::mem::replace(&mut self.message, bounded(text));
        let chain = std::iter::once(message).chain(self.chain.texts().map(str::to_owned));
        self.chain = bounded_chain(chain).into();
        self
    }

    /// Marks it as one that no retry can mend: the activity fails at once.
    #[must_use]
    pub fn non_retryable(mut self) -> Self {
        self.non_retryable = true;
        self
    }

    /// Sets the wait before the next attempt, instead of the retry policy's. One of less than 1 ms says nothing: the policy's
    /// counts then.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.next_retry_delay = Some(delay);
        self
    }

    /// Whether a retry may mend it. Default: true.
    pub fn is_retryable(&self) -> bool {
        !self.non_retryable
    }

    /// The wait that [`Failure::retry_after`] asked for.
    pub fn next_retry_delay(&self) -> Option<Duration> {
        self.next_retry_delay
    }

    /// The texts of the causes, outermost first: at most 16, of at most 2 KiB each.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        self.chain.texts()
    }

    /// The outermost of its causes. It is the source of every error that holds this failure.
    pub(crate) fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.chain.first()
    }

    /// All but its texts, where there is anything else.
    pub(crate) fn beside_texts(&self) -> Option<Self> {
        let beside = Self { message: String::new(), chain: Chain::default(), ..self.clone() };
        (beside != Self::new("")).then_some(beside)
    }

    /// One with the texts of its record. In older histories it has them itself.
    pub(crate) fn with_texts(beside: Option<Self>, record: &FailureRecord) -> Self {
        match beside.unwrap_or_else(|| Self::new("")) {
            whole if !whole.message.is_empty() || !whole.chain.is_empty() => whole,
            beside => Self { message: record.message.clone(), chain: record.chain.clone().into(), ..beside },
        }
    }

    /// The failure that this is, or that an activity has failed with.
    pub(crate) fn within(error: &dyn Any) -> Option<&Self> {
        match error.downcast_ref::<ActivityError<Self>>() {
            Some(ActivityError::Failed(failure)) => Some(failure),
            _ => error.downcast_ref(),
        }
    }

    fn from_error(error: &dyn Error) -> Self {
        Self { chain: causes(error).into(), ..Self::new(error) }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        // A run that began under older rules goes on as it did.
        let strict = context::current().is_none_or(|run| run.is_strict.get());
        let whole = Self::within(&error).filter(|_| strict);
        whole.cloned().unwrap_or_else(|| Self::from_error(&error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_causes(f, &self.message, self.cause())
    }
}

/// The error of a call to an activity that returns `Result<T, E>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ActivityError<E> {
    /// It returned this error.
    Failed(E),
    /// A limit ran out.
    TimedOut {
        /// Which limit.
        kind: TimeoutKind,
        /// How the last attempt before had failed, where one had: also this error's source.
        cause: Option<Box<Self>>,
    },
    /// It was cancelled.
    Cancelled,
    /// It panicked, with this message.
    Panicked(String),
    /// Its worker died or shut down with it, and no attempt was left.
    WorkerLost,
    /// The engine refused its input or result; the text begins with a code.
    Invalid(String),
}

/// The error of a call to a *plain* activity, one that returns `T`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError {
    /// A limit ran out.
    TimedOut {
        /// Which limit.
        kind: TimeoutKind,
        /// How the last attempt before had failed, where one had: also this error's source.
        cause: Option<Box<Self>>,
    },
    /// It was cancelled.
    Cancelled,
    /// It panicked, with this message.
    Panicked(String),
    /// Its worker died or shut down with it, and no attempt was left.
    WorkerLost,
    /// The engine refused its input or result; the text begins with a code.
    Invalid(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { kind, .. } => write!(f, "activity timed out ({kind})"),
            Self::Cancelled => f.write_str("activity was cancelled"),
            Self::Panicked(message) => write!(f, "activity panicked: {message}"),
            Self::WorkerLost => f.write_str("the activity's worker was lost and no attempt is left"),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

// By hand: the source is the error itself, not its box, so that it can be downcast.
impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TimedOut { cause, .. } => cause.as_deref().map(|cause| cause as &(dyn Error + 'static)),
            _ => None,
        }
    }
}

impl<E> From<CallError> for ActivityError<E> {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TimedOut { kind, cause } => {
                Self::TimedOut { kind, cause: cause.map(|cause| Box::new(Self::from(*cause))) }
            }
            CallError::Cancelled => Self::Cancelled,
            CallError::Panicked(message) => Self::Panicked(message),
            CallError::WorkerLost => Self::WorkerLost,
            CallError::Invalid(text) => Self::Invalid(text),
        }
    }
}

impl<E: Fault> fmt::Display for ActivityError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::TimedOut { kind, .. } => CallError::TimedOut { kind: *kind, cause: None }.fmt(f),
            Self::Cancelled => CallError::Cancelled.fmt(f),
            Self::Panicked(message) => write!(f, "activity panicked: {message}"),
            Self::WorkerLost => CallError::WorkerLost.fmt(f),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

// Bound on `Fault`, not on `Error`: `Failure` is not an `Error`, and `?` must still work on its calls.
impl<E: Fault> Error for ActivityError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.cause(),
            Self::TimedOut { cause, .. } => cause.as_deref().map(|cause| cause as &(dyn Error + 'static)),
            _ => None,
        }
    }
}

/// A `workflow::timeout` or `until!(..).timeout(..)` ran out before its future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;
