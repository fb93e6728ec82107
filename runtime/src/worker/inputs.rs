//! What waits for a run's next turn. One place for each kind of input: how it is read from a message, when a
//! turn takes it, and how it goes back into the inbox if the turn could not take it.

use crate::error::Result;
use crate::store::{AnswerBody, AttemptBody, InboxRow, MessageKind, NewMessage, answer_id, answered_by};
use crate::wire::{CancelBody, ChildEndedBody, SignalBody, UpdateBody, child_ended_id, to_json};
use abide_core::exec::{AttemptOutcome, Execution, Input, UpdateAsk};
use abide_core::{Code, EventId, ExecutionId, FirstMessage, Payload, StartContext};
use tokio::sync::oneshot;

/// Answers a client's message.
pub(super) type SendReply = oneshot::Sender<Result<Option<()>>>;

/// An input that waits for the next turn.
pub(super) struct Pending {
    pub(super) input: Input,
    /// The inbox row that it came from.
    pub(super) row: Option<i64>,
    /// The input is an attempt's outcome that deleted the row which arbitrates the attempt: no other outcome
    /// is valid any more.
    pub(super) decided: bool,
    /// Each load of the run makes the input again, until it is taken in.
    pub(super) made_by_load: bool,
    pub(super) reply: Option<SendReply>,
}

impl From<Input> for Pending {
    fn from(input: Input) -> Self {
        let made_by_load = matches!(input, Input::Start { .. } | Input::Recovered { .. });
        Self { input, row: None, decided: false, made_by_load, reply: None }
    }
}

impl Pending {
    /// The input of an inbox row.
    pub(super) fn of_row(row: InboxRow) -> Self {
        Self { row: Some(row.id), ..Self::read(row.kind, &row.body, row.request_id) }
    }

    /// What a run that has not begun takes in first: its start, and the messages that were sent together with it
    /// (PROTOCOL 42). Until a turn has taken in the last of them, its row has them.
    pub(super) fn of_start(input: Payload, seed: u64, context: Box<StartContext>) -> Vec<Self> {
        let first: Vec<_> = context.first.iter().cloned().map(Self::of_first).collect();
        std::iter::once(Input::Start { input, seed, context }.into()).chain(first).collect()
    }

    /// A message that was sent together with the start.
    pub(super) fn of_first(message: FirstMessage) -> Self {
        let input = match message {
            FirstMessage::Signal { name, input, request_id } => Input::Signal { name, input, request_id },
            FirstMessage::Update { update_id, name, input, ask, asker } => {
                Input::Update(Box::new(UpdateAsk { update_id, name, input: Some(input), ask, asker }))
            }
        };
        Self { made_by_load: true, ..input.into() }
    }

    /// Whether it was sent together with the start.
    pub(super) fn is_first(&self) -> bool {
        self.made_by_load && self.input.is_message()
    }

    /// The input of a message.
    pub(super) fn read(kind: MessageKind, body: &str, request_id: String) -> Self {
        let read = match kind {
            MessageKind::Signal => serde_json::from_str(body).map(|SignalBody { name, input }| {
                Input::Signal { name, input, request_id: request_id.clone() }.into()
            }),
            MessageKind::Cancel => serde_json::from_str(body)
                .map(|CancelBody { reason }| Input::Cancel { request_id: request_id.clone(), reason }.into()),
            MessageKind::Attempt => {
                serde_json::from_str(body).map(|AttemptBody { activity, attempt, outcome, kept, details }| {
                    Self {
                        decided: !kept,
                        ..Input::Attempt { activity, attempt, outcome: outcome.or_details(details) }.into()
                    }
                })
            }
            MessageKind::Update => {
                serde_json::from_str(body).map(|UpdateBody { update_id, name, input, asker }| {
                    let ask = request_id.clone();
                    Input::Update(Box::new(UpdateAsk { update_id, name, input, ask, asker })).into()
                })
            }
            MessageKind::Answer => match answered_by(&request_id) {
                Some(command) => serde_json::from_str(body)
                    .map(|AnswerBody { refused }| Input::Answered { command, refused }.into()),
                None => Err(serde::de::Error::custom("its key names no command")),
            },
            MessageKind::ChildEnded => serde_json::from_str(body)
                .map(|ChildEndedBody { child, end }| Input::ChildEnded { child, end }.into()),
            // For the worker itself.
            MessageKind::Query | MessageKind::Terminated | MessageKind::Terminate | MessageKind::Newer(_) => {
                Err(serde::de::Error::custom("it is no input of a workflow"))
            }
        };
        read.unwrap_or_else(|error| unreadable(body, request_id, &error).into())
    }
}

/// A message that cannot be read is kept in the history as a signal that no handler takes.
fn unreadable(body: &str, request_id: String, error: &serde_json::Error) -> Input {
    let why = abide_core::unread(body, error);
    tracing::error!(
        code = Code::PayloadType.as_str(),
        request_id,
        "{}: a message could not be read: {why}",
        Code::PayloadType
    );
    let input = Payload::encode(body).unwrap_or_else(|_| Payload::null());
    Input::Signal { name: "unreadable message".to_owned(), input, request_id }
}

/// The message that puts an input into the inbox of its run. `None`: the next load makes the input again.
pub(super) fn message_of(execution: ExecutionId, input: Input, at_ms: i64) -> Option<NewMessage> {
    let (kind, request_id, body) = match input {
        Input::Signal { name, input, request_id } => {
            (MessageKind::Signal, request_id, to_json(&SignalBody { name, input }))
        }
        Input::Update(ask) => {
            let UpdateAsk { update_id, name, input, ask, asker } = *ask;
            (MessageKind::Update, ask, to_json(&UpdateBody { update_id, name, input, asker }))
        }
        Input::Cancel { request_id, reason } => {
            (MessageKind::Cancel, request_id, to_json(&CancelBody { reason }))
        }
        Input::Answered { command, refused } => {
            (MessageKind::Answer, answer_id(command), to_json(&AnswerBody { refused }))
        }
        Input::ChildEnded { child, end } => {
            (MessageKind::ChildEnded, child_ended_id(child), to_json(&ChildEndedBody { child, end }))
        }
        Input::Attempt { activity, attempt, outcome } => {
            return Some(outcome_message(execution, (activity, attempt, outcome), at_ms));
        }
        Input::Start { .. } | Input::Recovered { .. } => return None,
    };
    Some(NewMessage { execution, kind, request_id, body, at_ms })
}

/// The message that keeps the outcome of an attempt for a run that cannot take it now, or not by this turn.
pub(super) fn outcome_message(
    execution: ExecutionId,
    (activity, attempt, outcome): (EventId, u32, AttemptOutcome),
    at_ms: i64,
) -> NewMessage {
    NewMessage {
        execution,
        kind: MessageKind::Attempt,
        request_id: format!("attempt/{activity}/{attempt}"),
        body: to_json(&AttemptBody { activity, attempt, outcome, kept: true, details: None }),
        at_ms,
    }
}

/// When a turn takes an input. The order is the order of the classes, and within a class that of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// How the run begins here. If the history has reached its limit, a request to cancel too: nothing else
    /// is taken in then.
    First,
    /// What comes before the first poll of `run` (PROTOCOL 42).
    Early,
    /// Messages come before outcomes, so that no outcome closes the run before a waiting message is taken in.
    Message,
    /// An outcome that this worker reports for the same attempt is void (PROTOCOL 22), so this comes before.
    Decided,
    Outcome,
}

/// What decides the class of an input besides the input itself.
#[derive(Clone, Copy)]
struct Moment {
    /// The history has reached its limit.
    at_limit: bool,
    /// `run` was not polled yet.
    begins: bool,
}

impl Class {
    fn of(pending: &Pending, moment: Moment) -> Self {
        match pending.input {
            Input::Start { .. } | Input::Recovered { .. } => Self::First,
            Input::Cancel { .. } if moment.at_limit => Self::First,
            Input::Cancel { .. } => Self::Message,
            Input::Signal { .. } | Input::Update(_) if moment.begins => Self::Early,
            Input::Signal { .. } | Input::Update(_) => Self::Message,
            Input::Attempt { .. } if pending.decided => Self::Decided,
            Input::Attempt { .. } | Input::Answered { .. } | Input::ChildEnded { .. } => Self::Outcome,
        }
    }
}

/// The inputs of a turn, and where they came from. The latter is needed after the executor has consumed the
/// inputs.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) inputs: Vec<Input>,
    pub(super) origins: Vec<Pending>,
}

impl Taken {
    /// Sorts the inputs by their classes.
    pub(super) fn from(mut pending: Vec<Pending>, exec: &Execution) -> Self {
        let starts = |p: &Pending| matches!(p.input, Input::Start { .. });
        let begins = exec.awaits_early() || pending.iter().any(starts);
        let moment = Moment { at_limit: exec.is_at_limit(), begins };
        pending.sort_by_key(|pending| Class::of(pending, moment));
        let inputs = pending.iter().map(|p| p.input.clone()).collect();
        Self { inputs, origins: pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(id: &str) -> Input {
        Input::Signal { name: "approve".to_owned(), input: Payload::null(), request_id: id.to_owned() }
    }

    fn cancel() -> Input {
        Input::Cancel { request_id: "c".to_owned(), reason: "late".to_owned() }
    }

    fn update() -> Input {
        Input::Update(Box::new(UpdateAsk {
            update_id: "u".to_owned(),
            name: "add".to_owned(),
            input: Some(Payload::null()),
            ask: "a".to_owned(),
            asker: Some(7),
        }))
    }

    fn attempt() -> Input {
        Input::Attempt { activity: EventId(2), attempt: 3, outcome: AttemptOutcome::Cancelled }
    }

    fn answered(refused: Option<&str>) -> Input {
        Input::Answered { command: EventId(5), refused: refused.map(str::to_owned) }
    }

    fn child_ended() -> Input {
        let end = abide_core::ChildEnd::Completed(Payload::encode(&7).unwrap());
        Input::ChildEnded { child: EventId(3), end }
    }

    fn recovered() -> Input {
        Input::Recovered { running: Vec::new(), retried_ms: 0 }
    }

    fn start() -> Input {
        Input::Start { input: Payload::null(), seed: 7, context: Box::default() }
    }

    #[test]
    fn each_message_that_a_turn_could_not_take_comes_back_as_it_was() {
        for input in [
            signal("s"),
            update(),
            cancel(),
            attempt(),
            answered(None),
            answered(Some("not running")),
            child_ended(),
        ] {
            let message = message_of(ExecutionId(1), input.clone(), 5).unwrap();
            let again = Pending::read(message.kind, &message.body, message.request_id);
            assert_eq!(format!("{:?}", again.input), format!("{input:?}"));
            assert!(!again.decided, "it was kept: it has decided nothing");
        }
        for input in
            [signal("s"), update(), cancel(), attempt(), answered(None), child_ended(), start(), recovered()]
        {
            let is_message = message_of(ExecutionId(1), input.clone(), 5).is_some();
            let made_by_load = Pending::from(input.clone()).made_by_load;
            assert_ne!(is_message, made_by_load, "one of the two brings it back: {input:?}");
        }
    }

    #[test]
    fn a_run_begins_with_the_messages_of_its_start() {
        let signal = FirstMessage::Signal {
            name: "approve".to_owned(),
            input: Payload::null(),
            request_id: "s".to_owned(),
        };
        let update = FirstMessage::Update {
            update_id: "u".to_owned(),
            name: "add".to_owned(),
            input: Payload::null(),
            ask: "a".to_owned(),
            asker: Some(7),
        };
        let context = Box::new(StartContext { first: vec![signal, update], ..StartContext::default() });
        let all = Pending::of_start(Payload::null(), 7, context);
        let [first, second, third] = all.as_slice() else { panic!("{} inputs", all.len()) };
        assert!(matches!(first.input, Input::Start { .. }));
        assert!(matches!(&second.input, Input::Signal { request_id, .. } if request_id == "s"));
        assert!(matches!(&third.input, Input::Update(ask) if ask.ask == "a" && ask.input.is_some()));
        assert!(all.iter().all(|pending| pending.made_by_load && pending.row.is_none()));
    }

    #[test]
    fn what_is_no_input_is_kept_as_a_signal_without_a_handler() {
        for kind in
            [MessageKind::Query, MessageKind::Terminated, MessageKind::Terminate, MessageKind::Newer(99)]
        {
            let read = Pending::read(kind, "{}", "r".to_owned()).input;
            assert!(matches!(&read, Input::Signal { name, .. } if name == "unreadable message"), "{read:?}");
        }
    }

    #[test]
    fn messages_come_before_outcomes_and_decided_outcomes_before_reported_ones() {
        let classes = |at_limit, begins| {
            let decided = Pending { decided: true, ..attempt().into() };
            let all = [attempt().into(), decided, cancel().into(), signal("s").into(), recovered().into()];
            all.map(|pending| Class::of(&pending, Moment { at_limit, begins }))
        };
        use Class::{Decided, Early, First, Message, Outcome};
        assert_eq!(classes(false, false), [Outcome, Decided, Message, Message, First]);
        assert_eq!(classes(true, false), [Outcome, Decided, First, Message, First]);
        assert_eq!(classes(false, true), [Outcome, Decided, Message, Early, First]);
        assert!(First < Early && Early < Message && Message < Decided && Decided < Outcome);
    }
}
