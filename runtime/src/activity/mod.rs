//! Activities from the inside: what a running activity can learn about itself.
//!
//! An activity is an ordinary `async fn` that does I/O. It runs in the worker that runs its workflow or, if
//! it names a task queue, in a worker that serves that queue. It runs at least once, and its result is
//! recorded before the workflow sees it. [`context()`] gives it its attempt, its idempotency key, its
//! deadline, and a request to stop. By [heartbeats](ActivityContext::heartbeat) it tells where it is, and the next
//! attempt goes on from there.
//!
//! ```
//! use abide::activity;
//!
//! async fn charge(cents: u64) -> String {
//!     let key = activity::context().idempotency_key();
//!     format!("POST /charges {cents} Idempotency-Key: {key}")
//! }
//! ```
//!
//! # Blocking activities
//!
//! An `#[activity]` that is a plain `fn` may block its thread: it runs on the blocking pool of the tokio
//! runtime ([`tokio::task::spawn_blocking`]), so that nothing else waits for it. In an `impl` block of
//! several activities, a plain method is an activity if it has its own `#[activity]`.
//!
//! ```
//! use abide::prelude::*;
//!
//! #[activity(start_to_close = "10m")]
//! fn render(pages: u32) -> Result<u32, Failure> {
//!     let context = activity::context();
//!     for page in 0..pages {
//!         if context.is_cancelled() {
//!             return Err(Failure::new("asked to stop")); // nothing can end a thread: it has to look
//!         }
//!         std::thread::sleep(std::time::Duration::from_millis(1)); // or a long computation of `page`
//!         let _ = page;
//!     }
//!     Ok(pages)
//! }
//!
//! #[workflow]
//! async fn publish(pages: u32) -> Result<u32, Failure> {
//!     Ok(render(pages).await?) // called as every activity
//! }
//!
//! assert_eq!(render::body(3).unwrap(), 3); // in a test
//! ```
//!
//! Limits, retries, panics, [`context()`] and the cancellation token work as for every activity. A limit that
//! runs out ends the *attempt*, not the thread: the body keeps its slot until it returns, and may overlap
//! with the next attempt. A shutdown does not end the thread either: the end of the tokio runtime waits for
//! the body. So the body should check [`ActivityContext::is_cancelled`] regularly. The pool has 512 threads
//! unless the runtime is built with another `max_blocking_threads`.
//!
//! # Transactional activities
//!
//! `#[activity(transactional)]` makes an activity's SQL happen exactly once. The body borrows a connection
//! inside the engine's transaction. What it writes commits together with its result, or not at all.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # mod demo {
//! use abide::prelude::*;
//! use sqlx::SqliteConnection;
//!
//! #[activity(transactional, start_to_close = "10s")]
//! async fn debit(tx: &mut SqliteConnection, account: i64, cents: i64) -> Result<i64, Failure> {
//!     let left = "UPDATE account SET cents = cents - $2 WHERE id = $1 RETURNING cents";
//!     Ok(sqlx::query_scalar(left).bind(account).bind(cents).fetch_one(tx).await?)
//! }
//!
//! #[workflow]
//! async fn pay(account: i64, cents: i64) -> Result<i64, Failure> {
//!     Ok(debit(account, cents).await?) // the connection is no part of the call
//! }
//!
//! async fn by_hand(mut connection: SqliteConnection) {
//!     assert_eq!(debit::body(&mut connection, 1, 250).await.unwrap(), 750); // in a test
//! }
//! # }
//! ```
//!
//! * Your tables are in the database that abide was opened on (SQLite: in its file; open abide first, then
//!   create your tables). The connection is `sqlx::PgConnection` or `sqlx::SqliteConnection` of sqlx 0.9. Add
//!   sqlx 0.9 to your `Cargo.toml`.
//! * `Ok` commits. An `Err`, a panic, a time limit, a cancellation and a shutdown roll back, and the retry
//!   policy decides. An error of a statement is your `Err` like any other. On Postgres it makes the
//!   transaction unusable, and only the next attempt can continue. If the *commit* fails because of other
//!   transactions, the body runs again in a new transaction, within the same attempt.
//! * Keep it short: other activities may wait for your locks. On SQLite nothing else is written meanwhile
//!   (not even a request to cancel), and only one such body runs at a time. So it is cut off after 5 s
//!   (AB0612), and calling the engine from inside is refused (AB0609). Do slow work in an activity before it.
//! * Never call `COMMIT` or `ROLLBACK` yourself (AB0613). `tx.begin()` gives a savepoint.
//! * Effects outside of the database (an HTTP call in the body) are at-least-once, as in any activity.
//!
//! To start or signal a workflow exactly if your own transaction commits, use
//! [`Start::within`](crate::Start::within) and [`Request::within`](crate::Request::within). Both also work in
//! the body of a transactional activity.
//!
//! # Activities that are completed later
//!
//! An activity that ends by a callback, a person or another system says [`complete_later()`], after it has given its
//! [token](ActivityContext::completion_token) away. It holds no slot and no worker until a client ends it by
//! [`Client::activity`](crate::Client::activity).
//!
//! This module also contains the internal registry entry (`entry`) and runner (`runner`), which give a worker
//! exactly one outcome for each attempt. Neither writes to the store. The worker handles the waits between
//! attempts.

pub(crate) mod blocking;
mod complete;
mod connection;
pub(crate) mod context;
mod endings;
pub(crate) mod entry;
pub(crate) mod gate;
pub(crate) mod heartbeat;
pub(crate) mod info;
pub(crate) mod later;
mod limits;
pub(crate) mod publisher;
pub(crate) mod runner;
mod running;
pub(crate) mod transaction;
mod waits;
pub(crate) mod warn;

pub use abide_core::{HeartbeatError, PublishError};
pub use complete::complete_later;
#[doc(hidden)]
pub use connection::Lent;
pub use connection::TransactionConnection;
pub use context::{ActivityContext, context};
pub use tokio_util::sync::CancellationToken;
