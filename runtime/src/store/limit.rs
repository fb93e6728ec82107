//! Limits of task queues, priorities and fair shares, as plain data (PROTOCOL 78, 79).

use abide_core::{Priority, QueueOptions, Rate};

/// The place of a task in its task queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which limit of its queue counts it; empty: none does.
    pub(crate) limit_key: String,
    /// 1 (first) to 5.
    pub(crate) priority: i16,
    /// Keys of one priority are served in turn; empty: a key like the others.
    pub(crate) fair_key: String,
    /// How many of its key are taken in a turn.
    pub(crate) weight: i32,
}

impl Default for Place {
    fn default() -> Self {
        let priority = Priority::default().number();
        Self { limit_key: String::new(), priority, fair_key: String::new(), weight: 1 }
    }
}

impl Place {
    /// Of a call of this activity.
    pub(crate) fn of(activity: &str, options: &QueueOptions) -> Self {
        let QueueOptions { priority, limits, limit_key, fair } = options;
        let limit_key = match limit_key {
            _ if limits.is_none() => String::new(),
            None => activity.to_owned(),
            Some(key) => format!("{activity}/{key}"),
        };
        let (fair_key, weight) = match fair {
            Some((key, weight)) => (key.to_string(), i32::try_from(*weight).unwrap_or(i32::MAX)),
            None => (String::new(), 1),
        };
        Self { limit_key, priority: priority.unwrap_or_default().number(), fair_key, weight }
    }
}

/// Whose turn it is in a task queue: the keys of the last task that was served, and how many more of that key belong to
/// its turn. A worker keeps it in memory; a lost one begins with the first key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueTurn {
    pub(crate) fair_key: String,
    pub(crate) limit_key: String,
    pub(crate) left: u32,
}

/// The limits of one activity, as a worker's start writes them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkerLimit {
    /// The activity's registered name.
    pub(crate) activity: String,
    /// How many run at once. `None`: any number.
    pub(crate) most: Option<i32>,
    /// How many begin a second, and how many of them at once after a rest. `None`: any number.
    pub(crate) rate: Option<(f64, f64)>,
}

impl WorkerLimit {
    /// Of a registered activity.
    pub(crate) fn of(activity: &str, options: &QueueOptions) -> Self {
        let limits = options.limits;
        let burst = f64::from(limits.burst().unwrap_or(1));
        Self {
            activity: activity.to_owned(),
            most: limits.most.map(|most| i32::try_from(most).unwrap_or(i32::MAX)),
            rate: limits.rate.map(Rate::in_a_second).map(|rate| (rate, burst)),
        }
    }

    /// Whether there is no limit.
    pub(crate) fn is_none(&self) -> bool {
        self.most.is_none() && self.rate.is_none()
    }
}
