//! What a batch locks before it begins: rows that close, workflow ids whose policies look at other runs, and request ids of starts
//! (PROTOCOL 16, 23, 98).
//!
//! A close must not pass a message that was acknowledged. The message locks its receiver's row lightly (`FOR KEY SHARE`), the close
//! locks it fully, and only *then* looks into the inbox, by a statement of its own, whose snapshot is younger than the lock. One text with all
//! of that is one round trip. What a stranger holds is left for later, never waited for: nobody waits here while he holds locks.

use super::shared::Shared;
use super::sql::lock_key;
use crate::store::{Append, NewExecution};
use abide_core::ExecutionId;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

/// The most workflow ids and request ids that one batch locks: the server's table of locks is shared by all.
const MOST_IDS: usize = 64;

/// What is to be locked, and the text that does it.
pub(super) struct Locks {
    text: String,
    /// Starts for whose ids there was no room.
    over: HashSet<ExecutionId>,
    /// The executions that close, each with the messages that its last turn has taken in.
    closes: HashMap<ExecutionId, HashSet<i64>>,
    /// The starts of each locked id.
    ids: BTreeMap<i64, Vec<ExecutionId>>,
}

/// What must stay out of the batch.
#[derive(Default)]
pub(super) struct Guarded {
    /// A message waits for them.
    pub(super) conflicts: HashSet<ExecutionId>,
    /// Somebody holds their row or id.
    pub(super) locked: HashSet<ExecutionId>,
    /// There was no room for their locks.
    pub(super) over: HashSet<ExecutionId>,
}

impl Guarded {
    pub(super) fn leaves_out(&self, id: ExecutionId) -> bool {
        [&self.conflicts, &self.locked, &self.over].iter().any(|out| out.contains(&id))
    }
}

impl Locks {
    /// `None`: nothing is to be locked, and the batch is one statement.
    pub(super) fn of<'a>(shared: &Shared, appends: impl Iterator<Item = &'a Append>) -> Option<Self> {
        let mut closes = HashMap::new();
        let (mut ids, mut over) = (BTreeMap::<i64, Vec<ExecutionId>>::new(), HashSet::new());
        for append in appends {
            match &append.create {
                // A user's transaction that has started the same id (`within`) holds it for as long as the user likes.
                Some(new) => {
                    let keys = start_keys(shared, new);
                    if ids.len() + keys.len() > MOST_IDS {
                        over.insert(append.execution);
                        continue;
                    }
                    for key in keys {
                        ids.entry(key).or_insert_with(Vec::new).push(append.execution);
                    }
                }
                None if append.is_closing() => {
                    closes.insert(append.execution, append.consumed.iter().copied().collect());
                }
                _ => {}
            }
        }
        if closes.is_empty() && ids.is_empty() {
            return None;
        }
        let text = text(shared, &closes, &ids);
        Some(Self { text, over, closes, ids })
    }

    /// Begins the transaction and takes the locks.
    pub(super) async fn take(self, connection: &mut PgConnection) -> Result<Guarded, sqlx::Error> {
        let text = format!("BEGIN;{}", self.text);
        Self { text, ..self }.take_within(connection).await
    }

    /// Takes the locks in a transaction that is begun.
    pub(super) async fn take_within(self, connection: &mut PgConnection) -> Result<Guarded, sqlx::Error> {
        let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(self.text))).await?;
        let locked = self.closes.keys().copied().collect();
        let mut guarded = Guarded { locked, ..Guarded::default() };
        for row in rows {
            match row.try_get::<i32, _>(0)? {
                0 => {
                    let starts = self.ids.get(&row.try_get::<i64, _>(1)?);
                    if row.try_get::<i64, _>(2)? == 0 {
                        guarded.locked.extend(starts.into_iter().flatten());
                    }
                }
                1 => drop(guarded.locked.remove(&ExecutionId(row.try_get(1)?))),
                2 => {
                    let execution = ExecutionId(row.try_get(1)?);
                    let message: i64 = row.try_get(2)?;
                    let taken_in = self.closes.get(&execution).is_some_and(|taken| taken.contains(&message));
                    if !taken_in && !guarded.locked.contains(&execution) {
                        guarded.conflicts.insert(execution);
                    }
                }
                _ => {}
            }
        }
        guarded.over = self.over;
        Ok(guarded)
    }
}

/// The advisory locks that a start holds: of its workflow id, unless that is of our own making and meets no other run, and of its request
/// id, which a start under another workflow id may have too (PROTOCOL 98).
pub(super) fn start_keys(shared: &Shared, new: &NewExecution) -> Vec<i64> {
    let key = |space, name: &str| lock_key(shared.sql.schema(), space, name);
    let name = (!new.has_fresh_id()).then(|| key("start", &new.workflow_id));
    let request = new.request_id.as_deref().map(|id| key("request", id));
    name.into_iter().chain(request).collect()
}

/// Numbers only: nothing in it needs quoting.
fn text(
    shared: &Shared,
    closes: &HashMap<ExecutionId, HashSet<i64>>,
    ids: &BTreeMap<i64, Vec<ExecutionId>>,
) -> String {
    let schema = shared.sql.schema();
    let mut text = String::new();
    let mut put =
        |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("writing to a String does not fail");
    for key in ids.keys() {
        put(format_args!("SELECT 0, ({key})::bigint, pg_try_advisory_xact_lock({key})::integer::bigint;"));
    }
    if !closes.is_empty() {
        let list: Vec<String> = closes.keys().map(ToString::to_string).collect();
        let list = list.join(",");
        let lock = if mutant!(CloseWithoutLock) { "FOR KEY SHARE" } else { "FOR UPDATE" };
        put(format_args!(
            "SELECT 1, id, 0::bigint FROM \"{schema}\".execution WHERE id IN ({list}) ORDER BY id {lock} SKIP LOCKED;\
             SELECT 2, execution, id FROM \"{schema}\".inbox WHERE execution IN ({list}) AND kind IN (0, 1, 4);"
        ));
    }
    text
}
