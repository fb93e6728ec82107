//! The examples that people copy from, run in the test environment: those of `examples/` that have no target
//! of their own here, and what `docs/coming-from-temporal.md` and `docs/chains.md` show.

// Programs have no callers here, and no other crate sees what they show.
#![allow(dead_code, unreachable_pub)]

#[path = "../../examples/agent/main.rs"]
mod agent;
#[path = "../../examples/approval.rs"]
mod approval;
#[path = "../../examples/basket.rs"]
mod basket;
mod chains;
#[path = "../../examples/files.rs"]
mod files;
#[path = "../../examples/nightly.rs"]
mod nightly;
#[path = "../../examples/quota.rs"]
mod quota;
#[path = "../../examples/subscription.rs"]
mod subscription;
mod temporal;
#[path = "../../examples/trip.rs"]
mod trip;
#[path = "../../examples/webhook.rs"]
mod webhook;
