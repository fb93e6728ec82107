//! What abide promises, one file per behaviour, over a real Postgres server: the very tests of `main`, but
//! for those that look into an SQLite file.

// A test program needs no privacy, and ends where it is wrong.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used)]

/// The other program, `main`, runs the same tests on SQLite.
pub const ON_POSTGRES: bool = true;
/// What the user's own SQL runs on.
pub type UserConnection = sqlx::PgConnection;

mod blocking;
mod busy_runtime;
mod cancellation;
mod chains;
mod children;
mod client;
mod close_race;
mod combinators;
mod commits;
mod complete_later;
mod determinism;
mod early_signals;
mod ends;
mod errors_decode;
mod errors_hang;
mod errors_ids;
mod errors_messages;
mod errors_panic;
mod errors_payload;
mod errors_server;
mod errors_text;
mod errors_types;
mod eviction;
mod families;
mod farm;
mod full_pool;
mod full_slots;
mod handlers;
mod heartbeats;
mod helpers;
mod histories;
mod init;
mod listeners;
mod log;
mod long_history;
mod long_texts;
mod mismatch;
mod newer;
mod older;
mod others;
mod outbox;
mod polled_again;
mod pooler;
mod privacy;
mod queue_limits;
mod replays;
mod replays_database;
mod retries;
mod run_limits;
mod sagas;
mod schedules;
mod scopes;
mod shutdown;
mod state;
mod streams;
mod support;
mod sync;
mod task_ends;
mod task_queues;
mod transactions;
mod transactions_server;
mod updates;
mod with_start;
mod workflow_retries;
