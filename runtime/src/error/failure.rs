//! The public face of a store's error: a code, a text and a source chain.

use crate::store::StoreError;
use abide_core::write_causes;
use std::error::Error as _;
use std::fmt;

/// An error of a store. Its variants are internal to the store and may change; the code is stable.
#[derive(Clone)]
pub struct StoreFailure(pub(super) StoreError);

impl StoreFailure {
    /// The code: `AB05xx`, or `AB0209` for a damaged journal.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code(), self.0)
    }
}

impl fmt::Debug for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_causes(f, self, self.source())
    }
}

impl std::error::Error for StoreFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
