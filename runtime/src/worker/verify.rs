//! Replay in every test: each turn of a test's worker is repeated from its recorded history, on a fresh
//! thread, before anything acts on the turn.
//!
//! If a replay after a crash would behave differently in production, it does so here at once: another
//! command, another order, another wait. The turn then ends in a suspension, as it would after the crash,
//! with the await's position.

use super::stored::Journal;
use crate::store::AttemptChange;
use abide_core::exec::{self, Execution, FailedAttempt, Input, Standing, Suspension, Turn, WorkflowType};
use abide_core::flow::Info;
use abide_core::{Code, EventId, JournalRow, Site};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The first `EACH` turns are all checked. After that, turn n is checked if n is a multiple of n / 100, so
/// that the checks become rarer as the history grows.
const EACH: usize = 200;

/// The execution's history, as its journal has it.
#[derive(Default)]
pub(super) struct Recorded {
    rows: Vec<JournalRow>,
    /// How many turns wrote the history. A retry is a turn without a journal row.
    turns: usize,
    /// The failed attempts that are kept beside the journal.
    attempts: BTreeMap<EventId, FailedAttempt>,
}

impl Recorded {
    pub(super) fn of(journal: &Journal) -> Self {
        let attempts = journal.attempts.iter().map(|failed| (failed.activity, failed.clone())).collect();
        Self { rows: journal.rows.clone(), turns: journal.rows.len(), attempts }
    }

    /// Keeps the failed attempts that the turn's append will keep, as they are read back from their rows.
    fn keep(&mut self, changes: &[exec::AttemptChange]) {
        for change in changes.iter().map(AttemptChange::from) {
            match change {
                AttemptChange::Keep(row) => {
                    let failed = row.decode().expect("what was encoded decodes");
                    self.attempts.insert(failed.activity, failed);
                }
                AttemptChange::Drop(activity) => drop(self.attempts.remove(&activity)),
            }
        }
    }
}

/// The state that must not depend on whether an execution was run or replayed.
#[derive(PartialEq)]
struct Seen {
    standing: Standing,
    events: u64,
    /// For each: the activity, the attempt, when it is due (ms).
    attempts: Vec<(EventId, u32, Option<i64>)>,
    timer_ms: Option<i64>,
    awaits: Vec<&'static Site>,
    more: bool,
}

impl Seen {
    fn of(exec: &Execution) -> Self {
        Self {
            standing: exec.standing(),
            events: exec.history_len(),
            attempts: attempts(exec),
            timer_ms: exec.next_timer_ms(),
            awaits: exec.awaiting(),
            more: exec.has_more(),
        }
    }

    /// Describes what differs.
    fn differs_from(&self, replayed: &Self) -> String {
        let sites = |seen: &Self| {
            let awaits: Vec<String> = seen.awaits.iter().map(ToString::to_string).collect();
            if awaits.is_empty() { "nothing".to_owned() } else { awaits.join(", ") }
        };
        match (self.awaits != replayed.awaits, self.events != replayed.events || replayed.more) {
            (true, _) => {
                format!("it waited for {}, and its replay for {}", sites(self), sites(replayed))
            }
            (_, true) => format!(
                "it had made {} events, and its replay wants to make others after {}",
                self.events, replayed.events
            ),
            _ => "its timers or attempts are others than those of its replay".to_owned(),
        }
    }
}

/// The open attempts. A closed execution has none: their outcomes are discarded.
fn attempts(exec: &Execution) -> Vec<(EventId, u32, Option<i64>)> {
    let open = exec.outstanding().into_iter().filter(|_| !exec.is_closed());
    open.map(|start| (start.activity, start.attempt, start.not_before_ms)).collect()
}

/// Replays the history with this turn at its end. If the replay differs, the turn becomes a suspension: of
/// the turn, only the start of an execution is recorded.
pub(super) fn turn(
    recorded: &mut Recorded,
    (exec, info): (&Execution, Info),
    workflow: &WorkflowType,
    turn: &mut Turn,
    inputs: Vec<Input>,
) {
    if matches!(turn.standing, Standing::Suspended(_)) {
        return;
    }
    if turn.events.is_empty() && turn.attempts.is_empty() {
        return;
    }
    recorded.keep(&turn.attempts);
    recorded.turns += 1;
    if !turn.events.is_empty() {
        recorded.rows.push(as_recorded(turn));
    }
    if recorded.turns > EACH && !recorded.turns.is_multiple_of(recorded.turns / 100) {
        return;
    }
    let (rows, attempts) = (recorded.rows.clone(), recorded.attempts.values().cloned().collect());
    let (live_run, replayed) = (Seen::of(exec), replay(*workflow, info, rows, attempts));
    let reason = match replayed {
        Some(replayed) if replayed == live_run => return,
        Some(Seen { standing: Standing::Suspended(reason), .. }) => reason,
        Some(replayed) => {
            let message = format!(
                "history and code differ: {}. Likely cause: a branch depends on something that is not \
                 recorded. Replayed from its history on another thread, the code must do the same again",
                live_run.differs_from(&replayed)
            );
            let at = replayed.awaits.iter().chain(&live_run.awaits).next();
            Suspension { site: at.map(|site| site.to_string()), ..Suspension::new(Code::Mismatch, message) }
        }
        None => Suspension::new(Code::Panicked, "its code panicked outside of its await points in a replay"),
    };
    // The execution is loaded again before it continues, and the recorded history is read then.
    undo(turn, reason, inputs);
}

fn undo(turn: &mut Turn, reason: Suspension, inputs: Vec<Input>) {
    let starts = turn.seq == EventId(1);
    turn.events.truncate(usize::from(starts));
    turn.actions.clear();
    turn.attempts.clear();
    turn.undelivered = inputs;
    // The start of the execution stays. The inputs that came with it are delivered again.
    turn.undelivered.retain(|input| !starts || !matches!(input, Input::Start { .. }));
    turn.standing = Standing::Suspended(reason);
}

/// The turn as it is read back from the journal.
fn as_recorded(turn: &Turn) -> JournalRow {
    let encoded = serde_json::to_string(&turn.events).expect("events always encode");
    let events = serde_json::from_str(&encoded).expect("what was encoded decodes");
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events }
}

/// Replays on a fresh thread. `None`: the thread panicked.
fn replay(
    workflow: WorkflowType,
    info: Info,
    rows: Vec<JournalRow>,
    attempts: Vec<FailedAttempt>,
) -> Option<Seen> {
    let fresh = std::thread::spawn(move || {
        let mut exec = Execution::again(&workflow, info, Rc::new(|_: &str| true));
        exec.resume_attempts(attempts);
        exec.replay(rows);
        Seen::of(&exec)
    });
    fresh.join().ok()
}
