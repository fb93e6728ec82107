//! Tests of workflows and activities: an environment whose time jumps, mocks, and the replayer.
//!
//! Feature `testing`, for `[dev-dependencies]`:
//!
//! ```toml
//! [dev-dependencies]
//! abide = { version = "0.1", features = ["testing"] }
//! ```
//!
//! * [`TestEnv`]: runs workflows in memory, under a clock that jumps from timer to timer, and replays every turn.
//! * [`mock`]: a typed closure in the place of an activity.
//! * [`ActivityEnv`]: runs an activity's body alone, with a context of the test's choice.
//! * [`replay`]: recorded histories, of files or of a database's open runs, against today's code.
//!
//! Everything works under a plain `#[tokio::test]`.

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

/// Any activity: what a test's own function asks for that takes a mock, `&Mock<impl ActivityDef>`.
pub use abide_core::ActivityDef;
pub use activity::ActivityEnv;
pub use env::{TestEnv, TestEnvBuilder};
pub use mock::{Mock, MockBody, mock};
