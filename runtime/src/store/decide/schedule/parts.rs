//! A schedule's row, taken apart and put together.

use crate::store::action::Action;
use crate::store::schedule::{ScheduleParts, ScheduleRow};
use abide_core::schedule::{Policy, Schedule, Spec, State, Step, step};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a row's texts say.
pub(super) struct Parts {
    pub(super) spec: Spec,
    pub(super) policy: Policy,
    pub(super) action: Action,
    pub(super) state: State,
    /// Whether a user has changed them.
    pub(super) changed: bool,
}

impl Parts {
    /// # Errors
    /// What does not decode.
    pub(super) fn of(row: &ScheduleRow) -> Result<Self, String> {
        Ok(Self {
            spec: read("spec", &row.spec)?,
            policy: read("policy", &row.policy)?,
            action: read("action", &row.action)?,
            state: read("state", &row.state)?,
            changed: false,
        })
    }

    /// As the step takes it.
    pub(super) fn schedule(&self, row: &ScheduleRow) -> Schedule {
        Schedule {
            id: row.id.clone(),
            prefix: self.action.prefix.clone(),
            spec: self.spec.clone(),
            policy: self.policy.clone(),
            state: self.state.clone(),
            last_slot_ms: row.last_slot_ms.unwrap_or(row.created_at_ms),
            paused: row.paused,
            note: row.note.clone(),
        }
    }

    /// The row after a step.
    pub(super) fn after(&self, row: &ScheduleRow, step: &Step) -> ScheduleRow {
        let mut after = ScheduleRow {
            state: write(&step.state),
            note: step.note.clone(),
            paused: step.paused,
            halted: false,
            next_at_ms: step.next_at_ms,
            last_slot_ms: Some(step.last_slot_ms),
            ..row.clone()
        };
        if self.changed {
            (after.spec, after.policy) = (write(&self.spec), write(&self.policy));
            after.action = write(&self.action);
            after.version += 1;
        }
        after
    }
}

/// The row of a new schedule.
///
/// # Errors
/// Its first step fails.
pub(super) fn new_row(
    (id, number): (&str, i64),
    new: &ScheduleParts,
    paused: bool,
    now_ms: i64,
) -> Result<ScheduleRow, String> {
    let state = State { remaining: new.remaining, ..State::default() };
    let row = ScheduleRow {
        id: id.to_owned(),
        number,
        spec: write(&new.spec),
        action: write(&new.action),
        policy: write(&new.policy),
        state: write(&state),
        note: new.note.clone(),
        paused,
        halted: false,
        next_at_ms: None,
        last_slot_ms: Some(now_ms),
        version: 1,
        created_at_ms: now_ms,
    };
    let parts = Parts::of(&row)?;
    let first = step(&parts.schedule(&row), Vec::new(), now_ms).map_err(|error| error.to_string())?;
    Ok(parts.after(&row, &first))
}

/// A schedule that cannot be stepped: paused, until someone resumes or changes it.
pub(super) fn halted(row: &ScheduleRow, why: String) -> ScheduleRow {
    ScheduleRow { halted: true, paused: true, note: Some(why), next_at_ms: None, ..row.clone() }
}

fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("its {what} cannot be read: {error}"))
}

fn write<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a schedule always encodes")
}
