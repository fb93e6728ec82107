//! The primitives: what a workflow can ask the engine for, and what it can be told.
//!
//! Each has a room here. A room holds the future that workflow code awaits, its `Command`, and its *table*:
//! what the engine remembers of it between polls. A table is plain data and lies in a file of its own, below
//! the context that holds all tables (`Tables`); the future lies above the context.
//!
//! ```text
//! room/mod.rs   future ──issue──▶ exec::context ──holds──▶ room/table.rs
//!                                    ▲
//! exec/deliver.rs ── input ──────────┘  the table ends a command and wakes its future
//! ```
//!
//! A room changes only its own table. For everything else it calls the context's verbs; see
//! `exec::context`.

pub mod activity;
pub(crate) mod answer;
pub mod cancel;
pub mod child;
pub mod continue_as_new;
pub mod external;
pub(crate) mod known;
pub mod random;
pub mod saga;
pub mod side_effect;
pub(crate) mod signal;
pub mod stream;
pub mod sync;
pub(crate) mod tables;
pub mod timer;
pub(crate) mod update;
