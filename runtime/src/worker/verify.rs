//! Replay in every test: each turn of a test's worker is repeated from its recorded history, on a fresh thread, before
//! anybody acts upon it.
//!
//! What a replay would do otherwise after a crash, in production, it does here at once: another command, another order,
//! another wait. The turn then ends in a suspension instead, as it would after the crash, with the await's position.

use super::live::Live;
use abide_core::exec::{Execution, Input, Standing, Suspension, Turn, WorkflowType};
use abide_core::flow::Info;
use abide_core::{EventId, JournalRow, Site};
use std::rc::Rc;

/// So many turns are each checked; after them, one in a hundred of those before.
const EACH: usize = 200;

/// The history of an execution as its journal has it, for the checks.
#[derive(Default)]
pub(super) struct Recorded {
    rows: Vec<JournalRow>,
}

impl Recorded {
    pub(super) fn of(rows: &[JournalRow]) -> Self {
        Self { rows: rows.to_vec() }
    }
}

/// What must not depend on how an execution came to where it is.
#[derive(PartialEq)]
struct Seen {
    standing: Standing,
    events: u64,
    attempts: Vec<(EventId, u32)>,
    timer_ms: Option<i64>,
    awaits: Vec<&'static Site>,
    more: bool,
}

impl Seen {
    fn of(exec: &Execution) -> Self {
        Self {
            standing: exec.standing(),
            events: exec.history_len(),
            attempts: exec.outstanding().iter().map(|start| (start.activity, start.attempt)).collect(),
            timer_ms: exec.next_timer_ms(),
            awaits: exec.awaiting(),
            more: exec.has_more(),
        }
    }

    /// What differs, in words.
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

/// Repeats the history with this turn at its end. Where the replay differs, the turn becomes a suspension: nothing of it is
/// recorded but an execution's start.
pub(super) fn turn(
    live: &mut Live,
    exec: &Execution,
    workflow: &WorkflowType,
    turn: &mut Turn,
    inputs: Vec<Input>,
) {
    if turn.events.is_empty() || matches!(turn.standing, Standing::Suspended(_)) {
        return;
    }
    let rows = &mut live.recorded.rows;
    rows.push(as_recorded(turn));
    if rows.len() > EACH && !rows.len().is_multiple_of(rows.len() / 100) {
        return;
    }
    let (live_run, replayed) = (Seen::of(exec), replay(*workflow, live.info(), live.recorded.rows.clone()));
    let reason = match replayed {
        Some(replayed) if replayed == live_run => return,
        Some(Seen { standing: Standing::Suspended(reason), .. }) => reason,
        Some(replayed) => {
            let message = format!(
                "history and code differ: {}. Likely cause: a branch depends on something that is not recorded. Replayed \
                 from its history on another thread, the code must do the same again",
                live_run.differs_from(&replayed)
            );
            let at = replayed.awaits.iter().chain(&live_run.awaits).next();
            Suspension { site: at.map(|site| site.to_string()), ..Suspension::new("AB0201", message) }
        }
        None => Suspension::new("AB0202", "its code panicked outside of its await points in a replay"),
    };
    live.recorded.rows.pop();
    undo(turn, reason, inputs);
}

fn undo(turn: &mut Turn, reason: Suspension, inputs: Vec<Input>) {
    let starts = turn.seq == EventId(1);
    turn.events.truncate(usize::from(starts));
    turn.actions.clear();
    turn.undelivered = if starts { Vec::new() } else { inputs };
    turn.standing = Standing::Suspended(reason);
}

/// The turn as it comes back from the journal.
fn as_recorded(turn: &Turn) -> JournalRow {
    let encoded = serde_json::to_string(&turn.events).expect("events always encode");
    let events = serde_json::from_str(&encoded).expect("what was encoded decodes");
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events }
}

/// `None`: the thread panicked.
fn replay(workflow: WorkflowType, info: Info, rows: Vec<JournalRow>) -> Option<Seen> {
    let fresh = std::thread::spawn(move || {
        let mut exec = Execution::new(&workflow, info, Rc::new(|_: &str| true));
        exec.replay(rows);
        Seen::of(&exec)
    });
    fresh.join().ok()
}
