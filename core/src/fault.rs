//! What the error of an activity or workflow must be.

use crate::failure::{Failure, FailureKind, FailureRecord};
use crate::payload::{Payload, PayloadError};
use crate::text::{bounded, bounded_chain};
use serde::{Serialize, de::DeserializeOwned};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An error that history can store: a serde type that is an `Error`, or [`Failure`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of an activity or workflow",
    label = "not an error that history can keep",
    note = "derive `thiserror::Error`, `serde::Serialize` and `serde::Deserialize` for it, or use `abide::Failure`"
)]
pub trait Fault: fmt::Display + fmt::Debug + Sized + 'static {
    /// The cause, like `Error::source`.
    fn cause(&self) -> Option<&(dyn Error + 'static)>;

    /// Converts it to the form that history stores.
    fn to_record(&self) -> Result<FailureRecord, PayloadError>;

    /// Reads it back.
    fn from_record(record: &FailureRecord) -> Result<Self, PayloadError>;

    /// Whether another attempt may succeed. Default: true.
    fn retryable(&self) -> bool {
        true
    }

    /// The wait before the next attempt, instead of the policy's. Default: none.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl<E: Error + Serialize + DeserializeOwned + 'static> Fault for E {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.source()
    }

    fn to_record(&self) -> Result<FailureRecord, PayloadError> {
        Ok(FailureRecord {
            kind: FailureKind::Application,
            message: bounded(self),
            chain: crate::text::causes(self),
            data: Some(Payload::keep(self)?),
            cause: None,
        })
    }

    fn from_record(record: &FailureRecord) -> Result<Self, PayloadError> {
        data_of::<Self>(record)?.decode()
    }
}

// The blanket impl does not cover it: `Failure` is not an `Error`, so that `?` can convert every `Error` into
// it.
#[diagnostic::do_not_recommend]
impl Fault for Failure {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        Failure::cause(self)
    }

    fn to_record(&self) -> Result<FailureRecord, PayloadError> {
        // The record holds the texts. Most failures have nothing else.
        let beside = self.beside_texts();
        Ok(FailureRecord {
            kind: FailureKind::Application,
            message: bounded(self),
            chain: bounded_chain(self.chain()),
            data: beside.as_ref().map(Payload::encode).transpose()?,
            cause: None,
        })
    }

    fn from_record(record: &FailureRecord) -> Result<Self, PayloadError> {
        let beside = record.data.as_ref().map(Payload::decode).transpose()?;
        Ok(Self::with_texts(beside, record))
    }

    fn retryable(&self) -> bool {
        self.is_retryable()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.next_retry_delay()
    }
}

fn data_of<E>(record: &FailureRecord) -> Result<&Payload, PayloadError> {
    record.data.as_ref().ok_or_else(|| PayloadError::Decode {
        type_name: std::any::type_name::<E>(),
        message: format!("the record holds no typed error, only the text `{}`", record.message),
    })
}
