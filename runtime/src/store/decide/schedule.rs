//! What a transaction does with schedules: a pass over those that are due, and what is asked of one (PROTOCOL 68, 72).
//!
//! The stores give the statements, as a [`Desk`]; their order is here, once for all of them.

mod parts;
mod told;

use crate::store::execution::NewExecution;
use crate::store::message::{InboxRow, Reply};
use crate::store::schedule::{
    AskedOf, RunKeys, STEPS_AT_ONCE, ScheduleAnswer, ScheduleAsk, ScheduleParts, ScheduleRow, StartedRun,
    Stepped,
};
use abide_core::schedule::{Outcome, Step, check};
use parts::{halted, new_row};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use told::{Told, ends};

pub(crate) use told::ChainEnd;

/// How long the request of an ask is remembered: a day.
const REMEMBER_MS: i64 = 24 * 60 * 60 * 1_000;

/// A pass that has started so many runs leaves the rest to the next one: it is one transaction, and must come to its
/// end.
const RUNS_AT_ONCE: usize = 1_000;

/// What became of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Birth {
    Born,
    /// A run has, or had, its workflow id.
    Taken,
    /// Another session holds the lock of its workflow id.
    #[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))]
    // SQLite has one writer
    Held,
}

/// One transaction, and its statements.
pub(crate) trait Desk: Send {
    type Error: Send;

    /// The schedules that are due or have reports, with the lock of their rows, at most [`STEPS_AT_ONCE`]; those of
    /// other sessions are passed over. And the database's time.
    fn due(&mut self) -> impl Future<Output = Result<(Vec<ScheduleRow>, i64), Self::Error>> + Send;

    /// When the next schedule is due.
    fn next_due(&mut self) -> impl Future<Output = Result<Option<i64>, Self::Error>> + Send;

    /// A schedule, once its row is locked. And the database's time.
    fn row(
        &mut self,
        id: &str,
    ) -> impl Future<Output = Result<(Option<ScheduleRow>, i64), Self::Error>> + Send;

    /// The reports to these schedules, in the order in which they came.
    fn reports(&mut self, numbers: &[i64])
    -> impl Future<Output = Result<Vec<InboxRow>, Self::Error>> + Send;

    /// Begins what can be undone alone.
    fn mark(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// What was done since the mark stays.
    fn keep(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// What was done since the mark is undone.
    fn undo(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Inserts a run without an owner, if no run has, or had, its workflow id. It waits for no lock of a name.
    fn start(&mut self, new: &NewExecution) -> impl Future<Output = Result<Birth, Self::Error>> + Send;

    /// Sends to the open run of a chain, if there is one. False: another session has locked it.
    fn end(&mut self, end: ChainEnd<'_>) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Deletes reports that were taken in.
    fn consume(&mut self, ids: &[i64]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Writes the row of a schedule that is there.
    fn write(&mut self, row: &ScheduleRow) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Inserts a schedule. False: its name is taken.
    fn insert(&mut self, row: &ScheduleRow) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Deletes a schedule and its reports.
    fn delete(&mut self, number: i64) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The body of a reply.
    fn reply(&mut self, key: &str) -> impl Future<Output = Result<Option<String>, Self::Error>> + Send;

    /// Keeps a reply.
    fn put_reply(
        &mut self,
        reply: &Reply,
        now_ms: i64,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Why the database refuses a row for ever, if this is such an error.
    fn refusal(error: &Self::Error) -> Option<String>;
}

/// What became of one schedule.
enum Settled {
    Done {
        row: Box<ScheduleRow>,
        runs: Vec<StartedRun>,
        step: Box<Step>,
    },
    /// Another session holds a lock that it needs.
    Held,
    /// Its row, its step or the database does not let it.
    Halted(String),
}

/// Steps what is due. A schedule that cannot be stepped is halted, with the reason; it must not hold up the others.
pub(crate) async fn pass<D: Desk>(desk: &mut D, keys: &RunKeys) -> Result<Stepped, D::Error> {
    let (rows, now_ms) = desk.due().await?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
    // By a statement of its own, which is younger than the locks: a report that a step has taken in is not seen again.
    let mut reports: HashMap<i64, Vec<InboxRow>> = HashMap::new();
    for report in desk.reports(&numbers).await? {
        reports.entry(report.execution.0).or_default().push(report);
    }
    let (mut schedules, mut started) = (0, 0);
    for row in rows {
        if started >= RUNS_AT_ONCE {
            break;
        }
        let reports = reports.remove(&row.number).unwrap_or_default();
        desk.mark().await?;
        match settle(desk, &row, &reports, Told::Nothing, (keys, now_ms)).await {
            Ok(Settled::Done { runs, .. }) => {
                (schedules, started) = (schedules + 1, started + runs.len());
                desk.keep().await?;
            }
            Ok(Settled::Held) => desk.undo().await?,
            Ok(Settled::Halted(why)) => {
                desk.undo().await?;
                desk.write(&halted(&row, why)).await?;
            }
            Err(error) => {
                let Some(why) = D::refusal(&error) else { return Err(error) };
                desk.undo().await?;
                desk.write(&halted(&row, why)).await?;
            }
        }
    }
    debug_assert!(schedules <= STEPS_AT_ONCE as usize, "that many are locked");
    Ok(Stepped { schedules, next_due_ms: desk.next_due().await? })
}

/// Steps one schedule, and does what comes of it. `reports`: what it has not taken in.
async fn settle<D: Desk>(
    desk: &mut D,
    row: &ScheduleRow,
    reports: &[InboxRow],
    told: Told<'_>,
    (keys, now_ms): (&RunKeys, i64),
) -> Result<Settled, D::Error> {
    let stepped = catch_unwind(AssertUnwindSafe(|| told.step(row, reports, now_ms)));
    let (parts, mut step) = match stepped {
        Ok(Ok(stepped)) => stepped,
        Ok(Err(why)) => return Ok(Settled::Halted(why)),
        Err(_) => return Ok(Settled::Halted("its step panicked".to_owned())),
    };
    let mut runs = Vec::new();
    for start in step.starts.clone() {
        let new = parts.action.run(row.number, &start, keys(now_ms), now_ms);
        match desk.start(&new).await? {
            Birth::Born => {
                let NewExecution { id: execution, workflow_id, run_id, .. } = new;
                runs.push(StartedRun { execution, workflow_id, run_id });
            }
            Birth::Taken => step.refuse(&new.workflow_id, "its workflow id is taken", now_ms),
            Birth::Held => return Ok(Settled::Held),
        }
    }
    for end in ends(row.number, &step) {
        if !desk.end(end).await? {
            return Ok(Settled::Held);
        }
    }
    if !reports.is_empty() {
        let ids: Vec<i64> = reports.iter().map(|report| report.id).collect();
        desk.consume(&ids).await?;
    }
    let row = Box::new(parts.after(row, &step));
    desk.write(&row).await?;
    Ok(Settled::Done { row, runs, step: Box::new(step) })
}

/// Does what is asked of one schedule. What was done is remembered by its request. `Ok(None)`: another session holds a
/// lock that it needs, and it is to be done again.
pub(crate) async fn ask<D: Desk>(
    desk: &mut D,
    ask: &ScheduleAsk,
    keys: &RunKeys,
) -> Result<Option<ScheduleAnswer>, D::Error> {
    let key = format!("schedule:{}:{}:{}", ask.id.len(), ask.id, ask.request_id);
    let (row, now_ms) = desk.row(&ask.id).await?;
    if let Some(body) = desk.reply(&key).await? {
        return Ok(Some(ScheduleAnswer::Done(serde_json::from_str(&body).unwrap_or_default())));
    }
    let answer = match (&ask.what, row) {
        (AskedOf::Create { .. }, Some(_)) => ScheduleAnswer::Exists,
        (AskedOf::Create { number, new, paused }, None) => {
            create(desk, (&ask.id, *number), new, *paused, now_ms).await?
        }
        (_, None) => ScheduleAnswer::NoSuchSchedule,
        (AskedOf::Delete, Some(row)) => {
            desk.delete(row.number).await?;
            ScheduleAnswer::Done(None)
        }
        (AskedOf::Change { version, .. }, Some(row)) if *version != row.version => ScheduleAnswer::Changed,
        (AskedOf::Change { new, .. }, Some(row)) => {
            match tell(desk, row, Told::Change(new), (keys, now_ms)).await? {
                Some(answer) => answer,
                None => return Ok(None),
            }
        }
        (AskedOf::Tell(input), Some(row)) => {
            match tell(desk, row, Told::Input(input), (keys, now_ms)).await? {
                Some(answer) => answer,
                None => return Ok(None),
            }
        }
    };
    if let ScheduleAnswer::Done(run) = &answer {
        let body = serde_json::to_string(run).expect("text and numbers always encode");
        let expires_at_ms = now_ms.saturating_add(REMEMBER_MS);
        let reply = Reply { request_id: key, body, stage: 0, expires_at_ms, asker: None };
        desk.put_reply(&reply, now_ms).await?;
    }
    Ok(Some(answer))
}

async fn create<D: Desk>(
    desk: &mut D,
    (id, number): (&str, i64),
    new: &ScheduleParts,
    paused: bool,
    now_ms: i64,
) -> Result<ScheduleAnswer, D::Error> {
    if let Err(error) = check(&new.spec, now_ms) {
        return Ok(ScheduleAnswer::Refused(error.to_string()));
    }
    match new_row((id, number), new, paused, now_ms) {
        Ok(row) if desk.insert(&row).await? => Ok(ScheduleAnswer::Done(None)),
        Ok(_) => Ok(ScheduleAnswer::Exists),
        Err(why) => Ok(ScheduleAnswer::Refused(why)),
    }
}

/// Tells one schedule something. Its reports come first.
async fn tell<D: Desk>(
    desk: &mut D,
    row: ScheduleRow,
    told: Told<'_>,
    at: (&RunKeys, i64),
) -> Result<Option<ScheduleAnswer>, D::Error> {
    let mut reports = desk.reports(&[row.number]).await?;
    desk.mark().await?;
    let mut row = Box::new(row);
    if matches!(told, Told::Change(_)) && !reports.is_empty() {
        let reports = std::mem::take(&mut reports);
        match settle(desk, &row, &reports, Told::Nothing, at).await? {
            Settled::Done { row: after, .. } => row = after,
            Settled::Held => {
                desk.undo().await?;
                return Ok(None);
            }
            // A change may be what it needs.
            Settled::Halted(_) => {}
        }
    }
    let answer = match settle(desk, &row, &reports, told, at).await? {
        Settled::Held => None,
        Settled::Halted(why) => Some(ScheduleAnswer::Refused(why)),
        Settled::Done { runs, step, .. } => {
            let refused = step.answers.iter().find_map(|answer| match &answer.outcome {
                Outcome::Refused(why) => Some(why.clone()),
                _ => None,
            });
            let asked_for = step.answers.iter().find_map(|answer| answer.workflow_id.as_deref());
            let run = runs.into_iter().find(|run| Some(run.workflow_id.as_str()) == asked_for);
            Some(refused.map_or(ScheduleAnswer::Done(run), ScheduleAnswer::Refused))
        }
    };
    match &answer {
        // What else the step has done stays: slots that were due.
        Some(ScheduleAnswer::Done(_)) => desk.keep().await?,
        _ => desk.undo().await?,
    }
    Ok(answer)
}
