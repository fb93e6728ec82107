//! Durable execution for Rust: annotate async functions, and they survive crashes, restarts and months of
//! waiting.
//!
//! It has no server of its own: it is a library that uses SQLite (one file) or Postgres (any number of
//! workers).
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")] mod demo {
//! use abide::prelude::*;
//!
//! #[activity(start_to_close = "30s", retry(max_attempts = 3))]
//! async fn charge(order: String, cents: u64) -> Result<String, Failure> {
//!     Ok(format!("receipt for {order}: {cents}")) // any I/O; retried; at least once
//! }
//!
//! #[derive(Default)]
//! struct Order {
//!     approved: Option<bool>,
//! }
//!
//! #[workflow]
//! impl Order {
//!     #[run]
//!     async fn run(&mut self, id: String, cents: u64) -> Result<Option<String>, Failure> {
//!         let in_time = workflow::until!(self.approved.is_some()).timeout(days(3)).await;
//!         if in_time.is_err() || self.approved == Some(false) {
//!             return Ok(None);
//!         }
//!         Ok(Some(charge(id, cents).await?))
//!     }
//!
//!     #[signal]
//!     fn approve(&mut self, yes: bool) {
//!         self.approved = Some(yes);
//!     }
//! }
//!
//! pub async fn serve() -> Result<(), Failure> {
//!     let abide = Abide::open("sqlite://orders.db").await?;
//!     let worker = abide.worker("orders").workflow(Order::run).activity(charge).start().await?;
//!     let order = abide.client().start(Order::run("A-1".into(), 990)).id("order-A-1").await?;
//!     order.approve(true).await?;
//!     println!("{:?}", order.result().await?);
//!     worker.shutdown().await?;
//!     Ok(())
//! }
//! # }
//! ```
//!
//! # Features
//! `sqlite` is on by default. Without a store (`default-features = false`) the crate compiles but opens no
//! database. That is enough for a library of workflows and activities.
//! * `sqlite`: `sqlite://orders.db`. SQLite is compiled in, which needs a C compiler. Several processes of
//!   one machine may open one file.
//! * `postgres`: `postgres://user@host/database`, Postgres 13 or later, any number of processes on any number
//!   of machines. Options: [`AbideBuilder::schema`], [`AbideBuilder::max_connections`],
//!   [`AbideBuilder::migrate`]. `docs/postgres.md` is for operators.
//! * `tls`: encrypted connections to Postgres, by rustls. Without it `sslmode=prefer`, the default, is not
//!   encrypted.
//! * `testing`: the module `testing`, for tests of workflows. For `[dev-dependencies]`.
//!
//! # Where to look
//! * [`prelude`]: all names that a program needs.
//! * [`mod@workflow`]: the attribute, and what workflow code calls and awaits (`workflow::sleep`,
//!   `workflow::join!`, ..).
//! * [`mod@activity`]: the attribute, and what a running activity can learn about itself.
//! * [`Abide`]: the open database. [`Abide::worker`] runs workflows and activities. [`Abide::client`] starts
//!   workflows and communicates with them through a [`Handle`].
//! * [`Error`] is for operators. [`WorkflowError`] says how a workflow ended. Workflow code sees, and history
//!   keeps, [`ActivityError`], [`CallError`] and [`Failure`]. Each has a code, and each code has a page in
//!   `docs/errors/`.
//! * [`history`]: the events of an execution, for tools and tests.

// Without a store the crate only has to compile: its internals are then unused.
#![cfg_attr(not(any(feature = "sqlite", feature = "postgres")), allow(dead_code, unused_imports))]

#[macro_use]
extern crate abide_core as _;

mod abide;
mod client;
mod engine;
mod error;
mod future;
mod host;
mod hub;
mod location;
mod offset;
mod outcome;
mod policy;
pub mod prelude;
mod raw;
#[cfg(all(test, feature = "postgres"))]
mod schedule_tests;
mod status;
mod store;
mod update_waiters;
mod wire;
mod worker;

pub mod activity;
#[cfg(feature = "testing")]
pub mod testing;

/// The crate of the API's [`Timestamp`](jiff::Timestamp): `abide::jiff::Timestamp`.
pub use jiff;

pub use crate::abide::{Abide, AbideBuilder, Migration};
pub use crate::client::{
    Client, Completion, Description, ExecutionPage, ExecutionSummary, Handle, HandleCore, IntoStart,
    ListCursor, ListFilter, ListSchedules, MAX_ID_CHARS, NewSchedule, Opening, OpeningSignal, OpeningUpdate,
    PendingActivity, PendingChild, PendingTimer, QueryError, Request, Schedule, ScheduleCursor,
    ScheduleDescription, SchedulePage, ScheduleSummary, ScheduleUpdate, ScheduledRun, Serving, Start,
    StartUpdate, StreamItem, StreamReader, UntypedHandle, Update, UpdateError, UpdateHandle, Updates,
    WithMessage,
};
pub use crate::error::{Error, ErrorKind, Result, StoreFailure, TokenError};
pub use crate::location::Location;
pub use crate::offset::{ParseOffsetError, StreamOffset};
pub use crate::outcome::{Reason, WorkflowError};
pub use crate::policy::{IdConflictPolicy, IdReusePolicy};
pub use crate::status::ExecutionStatus;
pub use crate::store::Metrics;
pub use crate::wire::AwaitPosition;
pub use crate::worker::{Worker, WorkerBuilder};
pub use abide_core::schedule::{
    Calendar, CalendarRange, Counts as ScheduleCounts, Overlap, RunEnd as ScheduledEnd,
};
pub use abide_core::{
    ActivityError, Bytes, CallError, CancellationType, ChildError, Elapsed, Failure, Fault,
    MAX_PAYLOAD_BYTES, MessageError, ParentClosePolicy, Priority, Rate, RetryPolicy, TimeoutKind,
};
// `activity` and `workflow` are each an attribute and (below) a module: two namespaces, one `use`.
pub use abide_macros::{activity, init, query, run, signal, update, workflow};

/// The attribute [`#[workflow]`](macro@workflow), and what workflow code calls and awaits. The functions have
/// the same shapes as tokio's.
///
/// A workflow can await only these futures, combinators over them (`join_all`, `FuturesUnordered`, `buffered`
/// of the `futures` crate) and functions marked with [`#[workflow::helper]`](macro@workflow::helper). rustc
/// refuses the rest.
pub mod workflow {
    pub use abide_core::flow::{
        Acquire, AssumeDeterministic, Cancelled, ChildCall, ChildCore, ChildHandle, ChildResult, ChildStart,
        Compensated, CompensationError, ContinueAsNew, Delivery, ExternalCore, ExternalHandle,
        HandlersFinished, Info, JoinError, JoinHandle, Lock, Mutex, MutexGuard, Permit, PublishError, Random,
        Receiver, Recv, Saga, Semaphore, SendError, Sender, Sending, Shielded, SideEffect, Sleep, Timeout,
        Until, WorkflowFuture, WorkflowStream, assume_deterministic, cancelled, channel, continue_as_new,
        days, handle, handlers_finished, hours, info, millis, mins, now, publish, random, random_range, saga,
        secs, shielded, side_effect, sleep, sleep_until, spawn, timeout, timeout_at, uuid,
    };
    pub use abide_core::{
        __allow as allow, __join as join, __select as select, __try_join as try_join, __until as until,
    };
    pub use abide_core::{ActivityCall, Parent, WorkflowCall};
    pub use abide_macros::{deterministic, helper};
}

/// The history of an execution, as [`HandleCore::history`] returns it.
pub mod history {
    pub use abide_core::{
        ChildEnd, ChildOptions, Event, EventId, FailureKind, FailureRecord, FirstMessage, JournalRow,
        Payload, PayloadError, StartContext,
    };
}

/// The items that generated code uses. Not part of the API: it changes with any release, together with the
/// macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::activity::{Lent, TransactionConnection};
    pub use crate::client::{
        Answer, ByClient, ById, Handle, HandleCore, OpeningUpdate, QueryCodec, Request, Update, UpdateHandle,
        WithStart, WorkflowHandle,
    };
    pub use crate::error::Result;
    pub use crate::raw::{Raw, Script};
    pub use crate::store::{Fault as StoreFault, FaultHook, Stage};
    #[cfg(feature = "testing")]
    pub use crate::testing::simulation;
    pub use abide_core::*;

    /// The attributes, for an item that an attribute macro returns with another attribute on it.
    pub mod attributes {
        pub use abide_macros::{activity, deterministic, helper, workflow};
    }
}
