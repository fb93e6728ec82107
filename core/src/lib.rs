//! `abide-core`: the sans-I/O half of [abide](https://docs.rs/abide), durable execution for Rust.
//!
//! Users depend on `abide`, which re-exports the items they need. This crate has the plain types (ids,
//! events, failures, policies), the deterministic executor ([`exec`]) and the futures that workflow code
//! awaits ([`flow`]).
//!
//! This crate never reads a clock, draws a random number or does I/O. The runtime passes inputs and the time
//! to it, and takes events and actions from it. This makes exact replay and simulation possible.

#[macro_use]
#[doc(hidden)]
pub mod mutant;

mod asked;
mod bytes;
mod call_error;
mod callable;
mod carried;
mod chain;
mod child;
mod code;
mod def;
mod event;
pub mod exec;
mod failure;
mod fault;
pub mod flow;
mod future;
#[cfg(test)]
mod fuzz;
mod graph;
mod guard;
mod heartbeat;
mod ids;
mod messages;
mod outcome;
mod payload;
mod policy;
pub mod primitive;
#[doc(hidden)]
pub mod probe;
mod queueing;
mod rules;
pub mod schedule;
mod site;
mod spans;
mod start_context;
mod state;
mod text;
mod update;
mod workflow_options;

pub use asked::*;
pub use bytes::Bytes;
pub use call_error::{ActivityError, CallError, ChildError, Elapsed, MessageError};
pub use callable::{ActivityFn, AnyActivityFn, WorkflowFn};
pub use carried::{Carried, CarriedCancel, CarriedId, CarriedKind, CarriedSignal, CarriedUpdate, NextRun};
pub use child::{Birth, ChildEnd, ChildIds, ChildOptions, ParentClosePolicy};
pub use code::Code;
pub use def::{Activities, ActivityDef, ActivityRegistry, Database, QueryFn, SignalFn, WorkflowDef};
pub use event::{Event, JournalRow, Recipient, UpdateOutcome};
pub use failure::{Failure, FailureKind, FailureRecord, TimeoutKind};
pub use fault::Fault;
pub use future::LocalBoxFuture;
pub use graph::*;
pub use guard::{Block, Guard, WorkflowFuture, block, guard, later};
pub use heartbeat::{HeartbeatError, MAX_DETAILS_BYTES, heartbeat_details};
pub use ids::{EventId, ExecutionId, Incarnation};
pub use messages::{Messages, Route, SignalRoute};
pub use outcome::*;
pub use payload::{Encoded, MAX_PAYLOAD_BYTES, Payload, PayloadError, unread};
pub use policy::{ActivityOptions, CancellationType, RetryPolicy, Runs};
pub use primitive::activity::ActivityCall;
pub use primitive::child::WorkflowCall;
pub use primitive::stream::{PublishError, PublishedItem, encode_item};
pub use queueing::{Priority, QueueLimits, QueueOptions, Rate};
pub use rules::RULES;
pub use site::Site;
pub use start_context::{FirstMessage, NextAttempt, Parent, StartContext};
pub use state::{Parked, Slot, This};
pub use text::{MAX_CAUSE_BYTES, MAX_CAUSES, MAX_TEXT_BYTES, bounded, write_causes};
pub use update::{Judged, UpdateAnswer, UpdateCodec, UpdateFn, UpdateRun, Verdict, Written};
pub use workflow_options::WorkflowOptions;
