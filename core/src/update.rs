//! How the arguments and answers of updates are written and read: what the macro generates from `#[update]`.

use crate::failure::{Failure, FailureRecord};
use crate::fault::Fault;
use crate::future::LocalBoxFuture;
use crate::outcome::{Outcome, Persist, Sel};
use crate::payload::{Payload, PayloadError};

/// The return type of an update, split into value and error. There are no bounds on the types here: whether
/// history can keep them is checked where the [`UpdateCodec`] is created, so that rustc reports an unsuitable
/// type once.
pub trait UpdateAnswer: 'static {
    /// What the handler returns.
    type Returned;
    /// The value that its caller gets.
    type Ok: 'static;
    /// The error of its handler and its validator; [`Failure`] for a plain `T`.
    type Err: 'static;
}

impl<T: 'static> UpdateAnswer for Sel<T, false> {
    type Returned = T;
    type Ok = T;
    type Err = Failure;
}

impl<T: 'static, E: 'static> UpdateAnswer for Sel<Result<T, E>, true> {
    type Returned = Result<T, E>;
    type Ok = T;
    type Err = E;
}

/// An answer as it is written: the value or the error. The outer `Err`: one of them does not encode.
pub type Written = Result<Result<Payload, FailureRecord>, PayloadError>;

/// Writes and reads the answers of an update.
pub struct UpdateCodec<A: UpdateAnswer> {
    encode: fn(A::Returned) -> Written,
    refuse: fn(A::Err) -> Result<FailureRecord, PayloadError>,
    value: fn(&Payload) -> Result<A::Ok, PayloadError>,
    error: fn(&FailureRecord) -> Result<A::Err, PayloadError>,
}

impl<A: UpdateAnswer> UpdateCodec<A> {
    /// Writes what the handler returned.
    pub fn encode(&self, returned: A::Returned) -> Written {
        (self.encode)(returned)
    }

    /// Writes what the validator returned.
    pub fn verdict<V: Verdict<A::Err>>(&self, said: V) -> Result<Result<(), FailureRecord>, PayloadError> {
        match said.into_verdict() {
            Ok(()) => Ok(Ok(())),
            Err(error) => (self.refuse)(error).map(Err),
        }
    }

    /// Reads a value.
    pub fn value(&self, value: &Payload) -> Result<A::Ok, PayloadError> {
        (self.value)(value)
    }

    /// Reads an error of the handler or of the validator.
    pub fn error(&self, failure: &FailureRecord) -> Result<A::Err, PayloadError> {
        (self.error)(failure)
    }
}

impl<T: 'static> UpdateCodec<Sel<T, false>> {
    /// The codec of an update that cannot fail.
    pub const fn of() -> Self
    where
        T: Persist,
    {
        Self {
            encode: <Sel<T, false> as Outcome>::encode,
            refuse: |error| error.to_record(),
            value: |value| value.decode(),
            error: <Failure as Fault>::from_record,
        }
    }
}

impl<T: 'static, E: 'static> UpdateCodec<Sel<Result<T, E>, true>> {
    /// The codec of an update that may fail.
    pub const fn of() -> Self
    where
        T: Persist,
        E: Fault,
    {
        Self {
            encode: <Sel<Result<T, E>, true> as Outcome>::encode,
            refuse: |error| error.to_record(),
            value: |value| value.decode(),
            error: <E as Fault>::from_record,
        }
    }
}

/// What a validator returns: `Result<(), V>`, where `V` is the update's own error or converts into it.
#[diagnostic::on_unimplemented(
    message = "a validator cannot return `{Self}`",
    label = "its update fails with `{E}`",
    note = "return `Result<(), {E}>`, or `Result` with an error that `?` would make one of it; the update of a \
            plain value fails with `Failure`"
)]
pub trait Verdict<E> {
    /// The same with the update's error.
    fn into_verdict(self) -> Result<(), E>;
}

#[diagnostic::do_not_recommend]
impl<V: Into<E>, E> Verdict<E> for Result<(), V> {
    fn into_verdict(self) -> Result<(), E> {
        self.map_err(Into::into)
    }
}

/// What a validator says. The outer `Err`: the arguments do not decode.
pub type Judged = Result<Result<(), FailureRecord>, PayloadError>;

/// How an update is validated and run on the state `S`. The payload is the tuple of its arguments.
pub struct UpdateFn<S> {
    /// Reads the state, changes nothing, and never runs on replay.
    pub validate: fn(&S, &Payload) -> Judged,
    /// The handler.
    pub run: UpdateRun<S>,
}

/// The handler of an update.
pub enum UpdateRun<S> {
    /// A plain `fn`. It runs in place.
    Sync(fn(&mut S, &Payload) -> Written),
    /// An `async fn`. Its future becomes a task.
    Async(fn(&S, &Payload) -> Result<LocalBoxFuture<Written>, PayloadError>),
}
