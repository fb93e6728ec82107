//! What a run hands on to the next run of its chain (PROTOCOL 61).
//!
//! Plain types, and the limits of what is carried. The run that ends collects it from its tables; the next run
//! begins with it.

use crate::ids::ExecutionId;
use crate::payload::{MAX_PAYLOAD_BYTES, Payload};
use serde::{Deserialize, Serialize};

/// How long a request id is carried after its message was taken in, in milliseconds: an hour.
const KNOWN_MS: i64 = 60 * 60 * 1_000;
/// The most request ids in each of the two budgets: those of updates, and all others. One budget for both would
/// let many ids of signals push out those of updates.
const MOST_IDS: usize = 1_000;
/// The most bytes of ids in each of the two budgets.
const MOST_ID_BYTES: usize = 32 * 1024;
/// The most bytes that a run carries in all.
pub(crate) const MAX_CARRIED_BYTES: usize = MAX_PAYLOAD_BYTES;

/// The run that follows a run in its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRun {
    /// Its key in the database.
    pub execution: ExecutionId,
    /// Its run id.
    pub run_id: String,
}

/// What a run begins with besides its input, if another run went before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carried {
    /// Signals that no handler took, in the order of their events. The next run records them as its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<CarriedSignal>,
    /// A request to cancel that the run had not taken. The next run records it as its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CarriedCancel>,
    /// Ids of updates that were taken in within the last hour, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<CarriedUpdate>,
    /// Request ids of other messages that were taken in within the last hour, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<CarriedId>,
}

/// A signal that no handler took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedSignal {
    /// Its name.
    pub name: String,
    /// Its encoded arguments.
    pub input: Payload,
    /// The sender's id of this request.
    pub request_id: String,
}

/// A request to cancel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedCancel {
    /// The sender's id of this request.
    pub request_id: String,
    /// The reason, for people.
    pub reason: String,
}

/// The id of an update, and the run that has its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedUpdate {
    /// The update's id.
    pub update_id: String,
    /// The run id of the run that accepted it.
    pub run_id: String,
    /// When it was taken in: ms since the Unix epoch.
    pub at_ms: i64,
}

/// The kind of a message whose request id is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CarriedKind {
    /// A signal.
    Signal,
    /// A request to cancel.
    Cancel,
}

/// A request id that was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedId {
    /// Of which kind the message was. A signal and a cancel request may share an id (PROTOCOL 41).
    pub kind: CarriedKind,
    /// The id.
    pub id: String,
    /// When it was taken in: ms since the Unix epoch.
    pub at_ms: i64,
}

impl Carried {
    /// Whether nothing is carried.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The bytes of its texts.
    pub fn bytes(&self) -> usize {
        let signal = |s: &CarriedSignal| s.name.len() + s.input.as_json().len() + s.request_id.len();
        let update = |u: &CarriedUpdate| u.update_id.len() + u.run_id.len();
        self.signals.iter().map(signal).sum::<usize>()
            + self.cancel.as_ref().map_or(0, |cancel| cancel.request_id.len() + cancel.reason.len())
            + self.updates.iter().map(update).sum::<usize>()
            + self.known.iter().map(|known| known.id.len()).sum::<usize>()
    }

    /// Whether a run can hand it on.
    pub fn fits(&self) -> bool {
        self.bytes() <= MAX_CARRIED_BYTES
    }

    /// Keeps the ids of the last hour before `now_ms`, the newest first, as far as the budgets go. What is
    /// carried as a message needs no id beside it: the next run learns the id from the message.
    pub(crate) fn limited(mut self, now_ms: i64) -> Self {
        let (signals, cancel) = (&self.signals, &self.cancel);
        self.known.retain(|known| match known.kind {
            CarriedKind::Signal => !signals.iter().any(|signal| signal.request_id == known.id),
            CarriedKind::Cancel => cancel.as_ref().is_none_or(|cancel| cancel.request_id != known.id),
        });
        newest(&mut self.known, now_ms, |known| (known.at_ms, &known.id));
        newest(&mut self.updates, now_ms, |update| (update.at_ms, &update.update_id));
        self
    }

    /// What stays of it in the start of the next run: the messages become events of their own there.
    pub(crate) fn without_messages(self) -> Self {
        Self { signals: Vec::new(), cancel: None, ..self }
    }
}

/// Sorts ids, given in the order in which they were taken in, by their times, and cuts them to their budget.
fn newest<T>(ids: &mut Vec<T>, now_ms: i64, of: impl Fn(&T) -> (i64, &String)) {
    ids.retain(|id| now_ms.saturating_sub(of(id).0) <= KNOWN_MS);
    ids.reverse();
    ids.sort_by_key(|id| std::cmp::Reverse(of(id).0));
    let mut bytes = 0;
    let fits = |id: &&T| {
        bytes += of(id).1.len();
        bytes <= MOST_ID_BYTES
    };
    let count = ids.iter().take(MOST_IDS).take_while(fits).count();
    ids.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: i64, at_ms: i64) -> CarriedId {
        CarriedId { kind: CarriedKind::Signal, id: format!("{n}"), at_ms }
    }

    fn ids(known: Vec<CarriedId>, now_ms: i64) -> Vec<String> {
        let carried = Carried { known, ..Carried::default() }.limited(now_ms);
        carried.known.into_iter().map(|known| known.id).collect()
    }

    #[test]
    fn ids_of_the_last_hour_are_carried_the_newest_first() {
        assert_eq!(ids(vec![id(1, 0), id(2, 5), id(3, 5)], KNOWN_MS), ["3", "2", "1"]);
        assert_eq!(ids(vec![id(1, 0), id(2, 5), id(3, 5)], KNOWN_MS + 1), ["3", "2"]);
        assert_eq!(ids(vec![id(1, i64::MAX)], i64::MIN), ["1"], "a time of another clock");
    }

    #[test]
    fn each_budget_has_a_thousand_ids_and_32_kib() {
        let all: Vec<_> = (0..1_500).map(|n| id(n, n)).collect();
        let kept = ids(all, 2_000);
        assert_eq!((kept.len(), kept[0].as_str(), kept[999].as_str()), (1_000, "1499", "500"));
        let long = |n: i64| CarriedId { id: format!("{n:01000}"), ..id(n, n) };
        assert_eq!(ids((0..50).map(long).collect(), 50).len(), 32);
        let update = |n: i64| CarriedUpdate { update_id: format!("{n}"), run_id: String::new(), at_ms: n };
        let known = (0..1_500).map(|n| id(n, n)).collect();
        let carried = Carried { known, updates: vec![update(1)], ..Carried::default() }.limited(1_500);
        assert_eq!((carried.known.len(), carried.updates.len()), (1_000, 1), "each has its own budget");
    }

    #[test]
    fn what_is_carried_as_a_message_is_not_carried_as_an_id() {
        let signal =
            CarriedSignal { name: "s".to_owned(), input: Payload::null(), request_id: "1".to_owned() };
        let carried =
            Carried { signals: vec![signal], known: vec![id(1, 1), id(2, 1)], ..Carried::default() };
        let carried = carried.limited(1);
        assert_eq!(carried.known, [id(2, 1)]);
        let ids = carried.clone().without_messages();
        assert_eq!((ids.signals.len(), &ids.known), (0, &carried.known));
        assert!(Carried::default().is_empty() && !ids.is_empty());
    }
}
