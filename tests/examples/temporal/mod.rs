//! What `docs/coming-from-temporal.md` shows on its right side. Each Rust block of the page stands in one of
//! these files, and each file has a test that runs it.

mod activities;
mod cancel;
mod chains;
mod children;
mod condition;
mod messages;
mod parallel;
mod replays;
mod saga;
mod scopes;
mod state;
mod streams;
mod updates;
mod values;
mod worker;
