//! What an execution remembers of each primitive.

use super::activity::table::Activities;
use super::answer::table::Answers;
use super::cancel::table::Cancellation;
use super::child::table::Children;
use super::continue_as_new::again::Again;
use super::random::rng::Rng;
use super::saga::table::Compensations;
use super::signal::table::Signals;
use super::sync::table::Waits;
use super::timer::table::Timers;
use super::update::table::Updates;
use std::cell::RefCell;

/// The tables of an execution's primitives. Each is changed by its room and by the executor only.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) activities: RefCell<Activities>,
    pub(crate) answers: RefCell<Answers>,
    pub(crate) children: RefCell<Children>,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) signals: RefCell<Signals>,
    pub(crate) updates: RefCell<Updates>,
    pub(crate) compensations: RefCell<Compensations>,
    pub(crate) cancellation: RefCell<Cancellation>,
    pub(crate) waits: RefCell<Waits>,
    pub(crate) rng: RefCell<Rng>,
    /// The next run, once the code has asked for it.
    pub(crate) again: RefCell<Option<Again>>,
}
