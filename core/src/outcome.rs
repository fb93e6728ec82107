//! `T` or `Result<T, E>`: what an activity or workflow returns. Traits decide this, never the text of a type.
//!
//! An inherent constant shadows a trait's constant on a concrete type, and a const generic argument brings
//! the answer to the type level. The macros emit `Sel<R, { use ProbeElse as _; <Probe<R>>::FALLIBLE }>`, and
//! [`Outcome`] is implemented for `Sel<Result<T, E>, true>` and for `Sel<T, false>`. Aliases of `Result`
//! therefore work.
//!
//! The blanket impls are `do_not_recommend`. Otherwise rustc reports a missing derive with a list of foreign
//! types.

use crate::call_error::{ActivityError, CallError, ChildError};
use crate::failure::{FailureRecord, TimeoutKind};
use crate::fault::Fault;
use crate::payload::{Encoded, Payload, PayloadError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// The return type `R` of a workflow, activity or query, with the answer of [`Probe`].
pub struct Sel<R, const FALLIBLE: bool>(PhantomData<fn() -> R>);

/// Tells whether `R` is a `Result`: `<Probe<R>>::FALLIBLE`, with [`ProbeElse`] in scope.
pub struct Probe<R>(PhantomData<R>);

impl<T, E> Probe<Result<T, E>> {
    /// A `Result` can fail. Shadows [`ProbeElse::FALLIBLE`].
    pub const FALLIBLE: bool = true;
}

/// The answer for every type that is not a `Result`.
pub trait ProbeElse {
    /// Not a `Result`: cannot fail.
    const FALLIBLE: bool = false;
}

impl<R> ProbeElse for Probe<R> {}

/// A value that history can store: an argument, a result. Every serde type without borrows implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a workflow's history",
    label = "not a serde type",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, and let it own its data",
    note = "of an `Rc<T>` or `Arc<T>` history keeps the value: take `T`, and share it in the body"
)]
pub trait Persist: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> Persist for T {}

/// The error type of an operation that cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Error for Never {}

/// The return value of a workflow, activity or query, split into value and error.
pub trait Outcome: 'static {
    /// The type as written: `T` or `Result<T, E>`.
    type Returned;
    /// The type of the value.
    type Ok: Persist;
    /// The type of the error; [`Never`] for a plain `T`.
    type Err: Fault;
    /// The error that a caller in a workflow sees: [`ActivityError`], or [`CallError`] for a plain `T`.
    type Seen: From<CallError>;
    /// The error that a parent sees of its child: [`ChildError`], or [`CallError`] for a plain `T`.
    type ChildSeen: From<CallError>;

    /// Splits a returned value.
    fn split(returned: Self::Returned) -> Result<Self::Ok, Self::Err>;

    /// Converts an error to the caller's view.
    fn seen(error: Self::Err) -> Self::Seen;

    /// Converts an error to the parent's view.
    fn child_seen(error: Self::Err) -> Self::ChildSeen;

    /// The caller's view of a time limit that ran out. `cause`: the last failure of the attempts before.
    fn timed_out(kind: TimeoutKind, cause: Option<Self::Seen>) -> Self::Seen;

    /// Converts a returned value to the form that history stores. Fails if the value does not come back.
    fn encode(returned: Self::Returned) -> Result<Result<Payload, FailureRecord>, PayloadError> {
        Self::write(returned)?.map_or_else(|failure| Ok(Err(failure)), |value| value.kept().map(Ok))
    }

    /// The same, and tells whether the value comes back.
    #[doc(hidden)]
    fn write(returned: Self::Returned) -> Result<Result<Encoded, FailureRecord>, PayloadError> {
        match Self::split(returned) {
            Ok(value) => Payload::write(&value).map(Ok),
            Err(error) => error.to_record().map(Err),
        }
    }
}

impl<T: Persist, E: Fault> Outcome for Sel<Result<T, E>, true> {
    type Returned = Result<T, E>;
    type Ok = T;
    type Err = E;
    type Seen = ActivityError<E>;
    type ChildSeen = ChildError<E>;

    fn split(returned: Result<T, E>) -> Result<T, E> {
        returned
    }

    fn seen(error: E) -> ActivityError<E> {
        ActivityError::Failed(error)
    }

    fn child_seen(error: E) -> ChildError<E> {
        ChildError::Failed(error)
    }

    fn timed_out(kind: TimeoutKind, cause: Option<ActivityError<E>>) -> ActivityError<E> {
        ActivityError::TimedOut { kind, cause: cause.map(Box::new) }
    }
}

impl<T: Persist> Outcome for Sel<T, false> {
    type Returned = T;
    type Ok = T;
    type Err = Never;
    type Seen = CallError;
    type ChildSeen = CallError;

    fn split(returned: T) -> Result<T, Never> {
        Ok(returned)
    }

    fn seen(error: Never) -> CallError {
        match error {}
    }

    fn child_seen(error: Never) -> CallError {
        match error {}
    }

    fn timed_out(kind: TimeoutKind, cause: Option<CallError>) -> CallError {
        CallError::TimedOut { kind, cause: cause.map(Box::new) }
    }
}

/// A list of arguments: a tuple of values that history can store. It is not a subtrait of serde's traits, so
/// that rustc reports the one argument that cannot be stored and not the tuple.
#[doc(hidden)]
pub trait Arguments: Sized + 'static {
    /// Encodes the arguments. Fails if they do not come back.
    fn encode(&self) -> Result<Payload, PayloadError> {
        self.write()?.kept()
    }

    fn write(&self) -> Result<Encoded, PayloadError>;
    fn decode(payload: &Payload) -> Result<Self, PayloadError>;
}

macro_rules! arguments {
    ($($name:ident)*) => {
        impl<$($name: Persist),*> Arguments for ($($name,)*) {
            fn write(&self) -> Result<Encoded, PayloadError> {
                Payload::write(self)
            }

            fn decode(payload: &Payload) -> Result<Self, PayloadError> {
                payload.decode()
            }
        }

        // Not one impl for all tuples by `Arguments`: rustc would report that trait instead of the argument.
        impl<$($name),*> Codec<($($name,)*)> {
            pub const fn of() -> Self
            where
                $($name: Persist),*
            {
                Self { encode: <($($name,)*) as Arguments>::encode, decode: <($($name,)*) as Arguments>::decode }
            }
        }
    };
}
arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);
arguments!(A B C D E F G);
arguments!(A B C D E F G H);

/// Decodes the arguments of a message.
#[doc(hidden)]
pub fn decode_args<A: Arguments>(payload: &Payload) -> Result<A, PayloadError> {
    A::decode(payload)
}

/// Writes and reads the arguments of a signal or query. The bound is checked once, where the codec is made.
/// Uses of the codec add no second error.
#[doc(hidden)]
pub struct Codec<A> {
    encode: fn(&A) -> Result<Payload, PayloadError>,
    decode: fn(&Payload) -> Result<A, PayloadError>,
}

impl<A> Codec<A> {
    pub fn encode(&self, args: &A) -> Result<Payload, PayloadError> {
        (self.encode)(args)
    }

    pub fn decode(&self, payload: &Payload) -> Result<A, PayloadError> {
        (self.decode)(payload)
    }
}

/// Calls a closure of an attribute. It is a function so that the closure's argument has a type.
#[doc(hidden)]
pub fn decide<E, R>(error: &E, decide: impl FnOnce(&E) -> R) -> R {
    decide(error)
}

/// A value of any type, for code that never runs.
#[doc(hidden)]
pub fn never<T>() -> T {
    unreachable!("generated code that only rustc reads")
}
