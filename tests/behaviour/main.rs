//! What abide promises, one file per behaviour, over a real SQLite file and through the public API only.

mod cancellation;
mod combinators;
mod commits;
mod eviction;
mod sagas;
mod state;
mod support;
