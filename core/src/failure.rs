//! Errors as history stores them and as workflow code sees them. The kinds are closed, and texts are stored
//! and never formatted again, so that a replayed error is identical byte for byte.

use crate::chain::Chain;
use crate::payload::{Payload, PayloadError};
use crate::text::{bounded, bounded_chain, causes, unsaid, write_causes};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
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
    /// One run of a workflow took too long.
    Run,
    /// All runs of a workflow together took too long: its retries, and those that it continued as.
    Execution,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartToClose => "start-to-close",
            Self::ScheduleToClose => "schedule-to-close",
            Self::ScheduleToStart => "schedule-to-start",
            Self::Heartbeat => "heartbeat",
            Self::Run => "run",
            Self::Execution => "execution",
        })
    }
}

/// The kind of a [`FailureRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// User code returned an error. `data` holds it.
    Application,
    /// A limit ran out.
    TimedOut(TimeoutKind),
    /// It was cancelled.
    Cancelled,
    /// User code panicked.
    Panicked,
    /// Its worker died during the attempt.
    WorkerLost,
    /// Its worker shut down before the attempt ended.
    WorkerShutdown,
    /// The engine refused its input or result (too large, not encodable).
    Invalid,
}

/// A failure in history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The kind of the failure.
    pub kind: FailureKind,
    /// Its `Display` text.
    pub message: String,
    /// The texts of its `source()` chain, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The typed error, encoded.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub data: Option<Payload>,
    /// The last failure of the attempts before, if a time limit ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<FailureRecord>>,
}

/// A present field is a typed error, even if it is `null`: a struct without fields (`struct NotFound;`)
/// encodes to `null`.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(field).map(Some)
}

impl FailureRecord {
    /// A failure without a typed error. Its text is cut to 8 KiB.
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { kind, message: bounded(message), chain: Vec::new(), data: None, cause: None }
    }

    /// Adds `last` as the cause if this is a time limit that ran out. If `last` is a time limit too, its own
    /// cause is more useful. Each kind appears at most once, so the chain has no more links than there are
    /// kinds.
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
    /// The size of its texts in bytes.
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

/// Any error in the form that history stores: text and chain. As with `anyhow::Error`, `?` converts every
/// `std::error::Error` into it, and it is not a `std::error::Error` itself. Use it where a workflow or
/// activity needs no typed error.
///
/// ```
/// use abide_core::Failure;
/// fn parse(s: &str) -> Result<u32, Failure> {
///     Ok(s.parse::<u32>()?)
/// }
/// assert_eq!(parse("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// `?` on the error of an activity of type [`ActivityError<Failure>`](crate::ActivityError) returns the activity's
/// own `Failure` if the activity failed: with its causes, its typed error, and whether a retry may succeed.
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
    /// A failure with this text. Of a text longer than 8 KiB, the head and the tail are kept.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            message: bounded(message),
            chain: Chain::default(),
            data: None,
            non_retryable: false,
            next_retry_delay: None,
        }
    }

    /// Keeps the error's text and chain, and the error itself, for [`Failure::downcast`]. Returns an error if
    /// it cannot be encoded (`AB0403`, `AB0405`) or does not come back from its JSON (`AB0216`, `AB0217`).
    pub fn typed<E: Error + Serialize + DeserializeOwned>(error: &E) -> Result<Self, PayloadError> {
        let data = Some(Payload::keep(error)?);
        Ok(Self { data, ..Self::from_error(error) })
    }

    /// Returns the typed error kept by [`Failure::typed`], if it is an `E`.
    pub fn downcast<E: DeserializeOwned>(&self) -> Option<E> {
        self.data.as_ref()?.decode().ok()
    }

    /// Adds a text that says what the code was doing. The text becomes the message, and the old message
    /// becomes the outermost cause. The typed error and whether a retry may succeed do not change. It works
    /// like `anyhow`'s `context`.
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

    /// Marks it as a failure that no retry can fix: the activity fails at once.
    #[must_use]
    pub fn non_retryable(mut self) -> Self {
        self.non_retryable = true;
        self
    }

    /// Sets the wait before the next attempt, instead of the retry policy's. A wait of less than 1 ms has no
    /// effect: the policy's wait then applies.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.next_retry_delay = Some(delay);
        self
    }

    /// Whether a retry may succeed. Default: true.
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

    /// The outermost cause. It is the source of every error that holds this failure.
    pub(crate) fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.chain.first()
    }

    /// The parts that are not texts, if it has any.
    pub(crate) fn beside_texts(&self) -> Option<Self> {
        let beside = Self { message: String::new(), chain: Chain::default(), ..self.clone() };
        (beside != Self::new("")).then_some(beside)
    }

    /// Adds the texts of its record. In older histories it has texts of its own.
    pub(crate) fn with_texts(beside: Option<Self>, record: &FailureRecord) -> Self {
        match beside.unwrap_or_else(|| Self::new("")) {
            whole if !whole.message.is_empty() || !whole.chain.is_empty() => whole,
            beside => Self { message: record.message.clone(), chain: record.chain.clone().into(), ..beside },
        }
    }

    fn from_error(error: &dyn Error) -> Self {
        Self { chain: causes(error).into(), ..Self::new(error) }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        // A run that began under older rules keeps its behaviour.
        let whole = Self::within(&error).filter(|_| crate::rules::here() >= 1);
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
