//! The pure core of schedules: when a schedule starts runs, and what it does when one still
//! runs. There is no clock and no I/O here: [`step`] takes the schedule, what happened, and the time, and gives the
//! schedule as it is then with what is to be started and stopped.

mod buffer;
mod calendar;
mod check;
mod cron;
mod error;
mod fields;
mod ids;
mod inputs;
mod limits;
mod policy;
mod range;
mod row;
mod slots;
mod spec;
mod state;
mod step;
mod update;
mod walk;

#[cfg(test)]
mod tests;

pub use calendar::Calendar;
pub use check::check;
pub use error::SpecError;
pub use inputs::{Input, RunEnd};
pub use policy::{Overlap, Policy};
pub use range::CalendarRange;
pub use row::{
    Answer, MAX_BACKFILLS, MAX_BUFFERED, MAX_SLOTS, MIN_CATCH_UP_MS, Outcome, RECENT, Schedule, StartRun,
    Step,
};
pub use slots::next_slots;
pub use spec::{Interval, Spec};
pub use state::{Asked, Backfill, Buffered, Counts, LastRun, Recent, Running, State};
pub use step::step;
pub use update::{Change, update};
