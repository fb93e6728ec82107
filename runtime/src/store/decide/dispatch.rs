//! What becomes of the messages to other workflows, once the commit has looked for their receivers.
//!
//! An address is resolved in the commit (PROTOCOL 32): between an earlier look and the commit, the receiver may go on
//! as a new run. The answer is a row in the sender's inbox, for a success and for a refusal (PROTOCOL 33).

use crate::store::append::Append;
use crate::store::dispatch::{Address, AnswerBody, answer_id};
use crate::store::message::{MessageKind, NewMessage};
use abide_core::{EventId, ExecutionId};
use std::collections::{BTreeSet, HashMap};

/// Why a message was refused, as its answer says it.
const NOT_RUNNING: &str = "not running";

/// Why a child was refused, as its answer says it.
const TAKEN: &str = "taken";

/// What the commit has found under an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// An open run, which cannot close before the commit.
    Locked(ExecutionId),
    /// An open run, which another session has locked: it may be closing, or going on as a new run.
    #[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))]
    // SQLite has one writer
    Held,
}

/// What the commit has found under the addresses of some dispatches. An address that is not here has no open run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receivers(HashMap<Address, Found>);

impl Receivers {
    /// An open run that this transaction has locked.
    pub(crate) fn locked(&mut self, address: Address, run: ExecutionId) {
        self.0.insert(address, Found::Locked(run));
    }

    /// A later look, without a lock, shows an open run.
    #[cfg(any(feature = "postgres", feature = "testing", test))]
    pub(crate) fn open(&mut self, address: Address) {
        self.0.entry(address).or_insert(Found::Held);
    }
}

/// The addresses of all dispatches, each once, in order.
pub(crate) fn addresses<'a>(appends: impl Iterator<Item = &'a Append>) -> BTreeSet<&'a Address> {
    appends.flat_map(Append::addresses).collect()
}

impl Append {
    /// Whom its messages go to by name, and the names that its children must find free.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        let to = self.dispatches.iter().map(|dispatch| &dispatch.to);
        to.chain(self.children.iter().filter_map(|child| child.name.as_ref()))
    }

    /// Whether nothing of it is to be looked for in the commit.
    pub(crate) fn is_resolved(&self) -> bool {
        self.addresses().next().is_none()
    }

    /// Leaves out the children whose names are taken, and adds the answers. `None`: another session has locked the run
    /// that has a name.
    fn name_children(&mut self, receivers: &Receivers) -> Option<()> {
        let mut names = BTreeSet::new();
        for mut child in std::mem::take(&mut self.children) {
            let Some(name) = child.name.take() else {
                self.children.push(child);
                continue;
            };
            let is_taken = match receivers.0.get(&name) {
                Some(Found::Held) => return None,
                Some(Found::Locked(_)) => true,
                None => !names.insert(name),
            };
            // A run that closes does not wait any more.
            if !self.is_closing() {
                let answer = answer(self, child.child_no, is_taken.then(|| TAKEN.to_owned()));
                self.messages.push(answer);
            }
            if !is_taken {
                self.children.push(child);
            }
        }
        Some(())
    }

    /// The same append with its dispatches as messages to the runs that were found, and their answers. `None`: another
    /// session has locked a receiver, and the append is tried again later (PROTOCOL 35).
    pub(crate) fn resolved(&self, receivers: &Receivers) -> Option<Self> {
        let mut resolved = self.clone();
        resolved.name_children(receivers)?;
        for dispatch in std::mem::take(&mut resolved.dispatches) {
            let found = match receivers.0.get(&dispatch.to) {
                Some(Found::Locked(run)) => Some(*run),
                Some(Found::Held) => return None,
                // A birth of this append is seen by no look. If it is not born, the message is dropped.
                None => resolved.birth_at(&dispatch.to),
            };
            // A child that has ended needs no cancel request.
            let is_moot =
                dispatch.kind == MessageKind::Cancel && matches!(dispatch.to, Address::Child { .. });
            let refused = (found.is_none() && !is_moot).then(|| NOT_RUNNING.to_owned());
            let command = dispatch.command;
            // What a run that is handed on sends to itself is for the run that goes on (PROTOCOL 36).
            let next = self.successor.as_ref().filter(|_| found == Some(self.execution));
            let found = next.map(|next| next.id).or(found);
            let key = if mutant!(OneKeyOfSender) { EventId(0) } else { command };
            resolved.messages.extend(found.map(|run| NewMessage {
                execution: run,
                kind: dispatch.kind,
                request_id: format!("abide/{}/{key}", self.execution),
                body: dispatch.body,
                at_ms: self.at_ms,
            }));
            // A run that closes does not wait any more.
            let answers = dispatch.answered && !self.is_closing();
            if answers && !(mutant!(AnswerRefusalsOnly) && refused.is_none()) {
                resolved.messages.push(answer(self, command, refused));
            }
        }
        Some(resolved)
    }

    fn birth_at(&self, address: &Address) -> Option<ExecutionId> {
        match address {
            Address::Name(name) => {
                let children = self.children.iter().map(|child| (&child.workflow_id, child.id));
                let births = self.births.iter().map(|new| (&new.workflow_id, new.id));
                births.chain(children).find(|(id, _)| *id == name).map(|(_, run)| run)
            }
            Address::Child { no, .. } => {
                self.children.iter().find(|child| child.child_no == *no).map(|child| child.id)
            }
        }
    }
}

/// The answer to a command of this append, in the sender's inbox.
fn answer(append: &Append, command: EventId, refused: Option<String>) -> NewMessage {
    NewMessage {
        execution: append.execution,
        kind: MessageKind::Answer,
        request_id: answer_id(command),
        body: serde_json::to_string(&AnswerBody { refused }).expect("text is always JSON"),
        at_ms: append.at_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::new;
    use super::*;
    use crate::status::ExecutionStatus;
    use crate::store::append::{Close, CloseKind};
    use crate::store::dispatch::Dispatch;
    use abide_core::Incarnation;

    fn append() -> Append {
        let to = |name: &str| Address::Name(name.to_owned());
        let dispatch = |command, name| Dispatch {
            command: EventId(command),
            to: to(name),
            kind: MessageKind::Signal,
            body: "{}".to_owned(),
            answered: true,
        };
        let dispatches = vec![dispatch(3, "a"), dispatch(4, "b")];
        Append { dispatches, ..Append::bare(Incarnation(1), ExecutionId(7), 1) }
    }

    fn receivers(open: &[(&str, i64)]) -> Receivers {
        let mut receivers = Receivers::default();
        open.iter()
            .for_each(|(name, run)| receivers.locked(Address::Name((*name).to_owned()), ExecutionId(*run)));
        receivers
    }

    /// To whom, under which key, with which body.
    fn sent(append: &Append) -> Vec<(i64, &str, &str)> {
        append.sent().map(|m| (m.execution.0, &*m.request_id, &*m.body)).collect()
    }

    #[test]
    fn each_command_has_its_answer() {
        let resolved = append().resolved(&receivers(&[("a", 8)])).unwrap();
        let refused = r#"{"refused":"not running"}"#;
        assert_eq!(
            sent(&resolved),
            [(8, "abide/7/3", "{}"), (7, "answer/3", "{}"), (7, "answer/4", refused)]
        );
        assert!(resolved.dispatches.is_empty());
    }

    #[test]
    fn a_receiver_that_is_held_puts_the_append_off() {
        let mut held = receivers(&[("a", 8)]);
        held.open(Address::Name("a".to_owned()));
        assert!(append().resolved(&held).is_some(), "the second look shows the run that is locked");
        held.open(Address::Name("b".to_owned()));
        assert!(append().resolved(&held).is_none());
    }

    #[test]
    fn a_run_that_closes_gets_no_answer_and_nothing_of_its_own() {
        let (kind, status) = (CloseKind::Drained, ExecutionStatus::Completed);
        let close = Some(Close { kind, status, result: String::new() });
        let closing = Append { close, ..append() };
        let resolved = closing.resolved(&receivers(&[("a", 8), ("b", 7)])).unwrap();
        assert_eq!(sent(&resolved), [(8, "abide/7/3", "{}")]);
    }

    #[test]
    fn a_start_may_send_to_itself() {
        let own = crate::store::execution::NewExecution {
            id: ExecutionId(7),
            workflow_id: "a".to_owned(),
            ..new()
        };
        let start = Append { births: vec![own], n: 1, ..append() };
        let resolved = start.resolved(&receivers(&[("b", 8)])).unwrap();
        assert_eq!(sent(&resolved)[0], (7, "abide/7/3", "{}"));
    }
}
