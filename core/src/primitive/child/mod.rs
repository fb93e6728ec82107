//! Child workflows: `Ship::run(parcel).await`, and `Ship::run(parcel).start().await` for a handle
//! (PROTOCOL 51, 52, 54, 56 to 58).

mod call;
mod command;
mod handle;
mod options;
pub(crate) mod table;

pub use call::{ChildCall, ChildStart, WorkflowCall};
pub use command::ChildSeen;
pub use handle::{ChildCore, ChildHandle, ChildResult, ToChild};

use crate::child::ChildEnd;
use crate::event::Event;
use crate::exec::Execution;
use crate::ids::EventId;

impl Execution {
    /// Takes in the end of a child. The end of one that no future waits for, or of one that has ended, leaves no
    /// event.
    pub(crate) fn child_ended(&mut self, child: EventId, end: ChildEnd) {
        if self.ctx.tables.children.borrow().is_open(child) {
            self.record(Event::ChildEnded { child, end });
        }
    }
}

#[cfg(test)]
mod tests;
