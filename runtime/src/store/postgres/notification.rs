//! Notifications: what one process tells the others through the server, collected and sent as one payload.
//!
//! Processes of several releases share the channel. A release ignores a notification that it does not know, and still
//! understands the ones that it no longer sends. A process that misses a notification looks by itself within a second.

use super::keys::lock_key;
use crate::store::decide::Receiver;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// What one process has to tell the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Notification {
    /// An execution may have closed or been suspended. An older release says it for each reply, too.
    News,
    /// A reply to the process with this block of ids.
    Reply(i64),
    /// All workers should look. An older release says it for each message of an append.
    Workers,
    /// A worker has a message.
    Worker(i64),
    /// Something is claimable in the task queue with this key.
    Queue(i64),
    /// This run has published into a stream.
    Stream(i64),
    /// A schedule is due earlier than was known, or has a report.
    Schedules,
}

/// A payload holds 8,000 bytes; beyond so many notifications it says "all".
const MOST: usize = 256;

/// Collects notifications until the next payload is sent: at most one in 10 ms, however many there are.
#[derive(Default)]
pub(super) struct Pending {
    waiting: Mutex<BTreeSet<Notification>>,
    pub(super) some: Notify,
}

impl Pending {
    pub(super) fn add(&self, notification: Notification) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.is_empty();
        if waiting.len() <= MOST {
            waiting.insert(notification);
        }
        drop(waiting);
        if first {
            self.some.notify_one();
        }
    }

    /// All that are pending, as one payload.
    pub(super) fn take(&self) -> Option<String> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        match waiting.len() {
            0 => None,
            1..=MOST => Some(waiting.iter().map(Notification::text).collect::<Vec<_>>().join(",")),
            _ => Some("*".to_owned()),
        }
    }
}

impl Notification {
    /// To the workers of this task queue.
    pub(super) fn queue(name: &str) -> Self {
        Self::Queue(lock_key("", "queue", name))
    }

    /// To whom something for an execution concerns.
    pub(super) fn receiver(receiver: &Receiver) -> Self {
        receiver.owner.map_or_else(|| Self::queue(&receiver.queue), |owner| Self::Worker(owner.0))
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::News => "n".to_owned(),
            Self::Reply(block) => format!("r{block}"),
            Self::Workers => "a".to_owned(),
            Self::Worker(id) => format!("w{id}"),
            Self::Queue(key) => format!("q{key}"),
            Self::Stream(run) => format!("s{run}"),
            Self::Schedules => "c".to_owned(),
        }
    }

    /// The notifications of a payload, without those that only a later version knows. `None`: everybody should look.
    pub(super) fn read(payload: &str) -> Option<Vec<Self>> {
        if payload == "*" {
            return None;
        }
        let one = |text: &str| match text.split_at_checked(1)? {
            ("n", "") => Some(Self::News),
            ("r", block) => block.parse().ok().map(Self::Reply),
            ("a", "") => Some(Self::Workers),
            ("w", id) => id.parse().ok().map(Self::Worker),
            ("q", key) => key.parse().ok().map(Self::Queue),
            ("s", run) => run.parse().ok().map(Self::Stream),
            ("c", "") => Some(Self::Schedules),
            _ => None,
        };
        Some(payload.split(',').filter_map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_read_as_they_were_sent() {
        let notifications = Pending::default();
        assert_eq!(notifications.take(), None);
        for notification in [
            Notification::Worker(7),
            Notification::News,
            Notification::Queue(-3),
            Notification::Worker(7),
            Notification::Reply(5),
        ] {
            notifications.add(notification);
        }
        let read = Notification::read(&notifications.take().unwrap()).unwrap();
        let sorted =
            [Notification::News, Notification::Reply(5), Notification::Worker(7), Notification::Queue(-3)];
        assert_eq!(read, sorted);
        assert_eq!(notifications.take(), None);
        (0..1_000).for_each(|id| notifications.add(Notification::Worker(id)));
        assert_eq!(Notification::read(&notifications.take().unwrap()), None, "too many to name are all");
        assert_eq!(
            Notification::read("x1,n,é"),
            Some(vec![Notification::News]),
            "a later version may say more"
        );
    }
}
