//! Futures of workflow code.

use std::future::Future;
use std::pin::Pin;

/// A boxed future that need not be `Send`: workflow code stays on one thread.
pub type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;
