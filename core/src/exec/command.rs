//! What workflow code asks the engine for.

use crate::event::Event;
use crate::ids::EventId;

/// A command: a future issues it once ([`super::context::Context::issue`]). Live, its event is recorded. On
/// replay, it is compared with the recorded event, which then says what is done.
pub(crate) trait Command {
    /// The event that records it.
    fn event(&self) -> Event;

    /// Whether `recorded` is this command (PROTOCOL 5).
    fn same(&self, recorded: &Event) -> bool;

    /// Takes over from the recorded event what stays as it was recorded. It is the same command, by
    /// [`Command::same`].
    fn adopt(&mut self, recorded: Event) {
        let _ = recorded;
    }
}

/// A command that has its number.
pub(crate) struct Issued<C> {
    pub(crate) id: EventId,
    /// As it was recorded.
    pub(crate) command: C,
    /// It is new. False: it was recorded earlier, so its effects were performed then.
    pub(crate) live: bool,
}
