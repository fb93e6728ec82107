//! What abide promises, one file per behaviour, over a real SQLite file and through the public API only.

// A test program needs no privacy, and ends where it is wrong.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used)]

/// The other program, `postgres`, runs the same tests on the other store.
pub const ON_POSTGRES: bool = false;
/// What the user's own SQL runs on.
pub type UserConnection = sqlx::SqliteConnection;

mod blocking;
mod busy_runtime;
mod cancellation;
mod chains;
mod children;
mod client;
mod clock_steps;
mod close_race;
mod combinators;
mod commits;
mod complete_later;
mod conditions;
mod determinism;
mod early_signals;
mod ends;
mod errors_database;
mod errors_decode;
mod errors_disk;
mod errors_hang;
mod errors_ids;
mod errors_messages;
mod errors_panic;
mod errors_payload;
mod errors_text;
mod errors_types;
mod eviction;
mod families;
mod farm;
mod full_slots;
mod handlers;
mod heartbeats;
mod helpers;
mod histories;
mod init;
mod lease_lost;
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
mod privacy;
mod queue_limits;
mod queue_limits_env;
mod replays;
mod replays_database;
mod retries;
mod retry_history;
mod run_limits;
mod run_limits_env;
mod sagas;
mod schedules;
mod schedules_env;
mod scopes;
mod shutdown;
mod state;
mod streams;
mod support;
mod sync;
mod task_ends;
mod task_queues;
mod test_env;
mod test_env_standstill;
mod test_env_time;
mod time_limits;
mod transactions;
mod transactions_file;
mod updates;
mod values_that_are_lost;
mod with_start;
mod workflow_retries;
mod workflow_retries_env;
