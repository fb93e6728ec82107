//! Tests of workflows and activities: an environment whose time jumps, mocks, and the replayer.
//!
//! Feature `testing`, for `[dev-dependencies]`:
//!
//! ```toml
//! [dev-dependencies]
//! abide = { version = "0.1", features = ["testing"] }
//! ```
//!
//! * [`TestEnv`]: runs workflows in memory, with a clock that jumps from timer to timer, and replays every
//!   turn.
//! * [`mock`]: a typed closure that replaces an activity.
//! * [`ActivityEnv`]: runs an activity's body alone, with a context that the test sets.
//! * [`replay`]: checks recorded histories, from files or from a database's open runs, against the current
//!   code.
//!
//! Everything works in a plain `#[tokio::test]`.

mod activity;
mod env;
mod gate;
mod hold;
mod mock;
mod process;
mod random;
pub mod replay;
#[doc(hidden)]
pub mod simulation;

/// Any activity. Use it in a test's own function that takes a mock: `&Mock<impl ActivityDef>`.
pub use abide_core::ActivityDef;
pub use activity::ActivityEnv;
pub use env::{TestEnv, TestEnvBuilder};
pub use mock::{Mock, MockBody, mock};
