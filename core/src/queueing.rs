//! What an activity on a task queue asks of the queue: its priority, its limits, its fair share (PROTOCOL 78, 79).

use crate::code::Code;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which tasks of a task queue go first. Tasks of a lower priority wait while a task of a higher one is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    Highest,
    /// Before normal tasks.
    High,
    /// The default.
    #[default]
    Normal,
    /// After normal tasks.
    Low,
    /// After all others.
    Lowest,
}

impl Priority {
    /// All of them, the first to go first.
    pub const ALL: [Self; 5] = [Self::Highest, Self::High, Self::Normal, Self::Low, Self::Lowest];

    /// Its number in the database: 1 (first) to 5.
    pub const fn number(self) -> i16 {
        self as i16 + 1
    }
}

/// How often something may begin: `Rate::per_second(10)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    secs: u32,
}

impl Rate {
    /// So many a second; 0 counts as 1.
    pub const fn per_second(count: u32) -> Self {
        Self::of(count, 1)
    }

    /// So many a minute; 0 counts as 1.
    pub const fn per_minute(count: u32) -> Self {
        Self::of(count, 60)
    }

    /// So many an hour; 0 counts as 1.
    pub const fn per_hour(count: u32) -> Self {
        Self::of(count, 3_600)
    }

    const fn of(count: u32, secs: u32) -> Self {
        Self { count: if count == 0 { 1 } else { count }, secs }
    }

    /// How many a second.
    pub fn in_a_second(self) -> f64 {
        f64::from(self.count) / f64::from(self.secs)
    }

    /// How many may begin at once after a rest, unless the caller says so: what a tenth of a second brings, at least
    /// one. So a window of one second never holds more than eleven tenths of the rate.
    pub fn default_burst(self) -> u32 {
        (self.count / self.secs / 10).max(1)
    }
}

/// Limits that hold for all workers of a task queue together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLimits {
    /// How many attempts run at once. Default: any number.
    pub most: Option<u32>,
    /// How often an attempt begins. Default: any number.
    pub rate: Option<Rate>,
    /// How many attempts may begin at once after a rest. Default: [`Rate::default_burst`].
    pub burst: Option<u32>,
}

impl QueueLimits {
    /// Whether there is no limit.
    pub fn is_none(&self) -> bool {
        self.most.is_none() && self.rate.is_none()
    }

    /// How many may begin at once after a rest.
    pub fn burst(&self) -> Option<u32> {
        self.rate.map(|rate| self.burst.unwrap_or_else(|| rate.default_burst()).max(1))
    }
}

/// What one call asks of its task queue: defaults from the attribute, changed at the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Default: that of the workflow's start.
    pub priority: Option<Priority>,
    /// Set by the attribute.
    pub limits: QueueLimits,
    /// The limits count the calls of each key apart. Default: all calls of the activity together.
    pub limit_key: Option<Arc<str>>,
    /// The key whose calls share the queue fairly with those of other keys, and how many of them go in a turn.
    pub fair: Option<(Arc<str>, u32)>,
}

/// The most characters of a key.
const MAX_KEY_CHARS: usize = 1_000;
/// The largest weight of a fair share.
const MAX_WEIGHT: u32 = 1_000;

impl QueueOptions {
    /// A call that asks nothing.
    pub(crate) const NONE: Self = Self {
        priority: None,
        limits: QueueLimits { most: None, rate: None, burst: None },
        limit_key: None,
        fair: None,
    };

    /// What of it needs a task queue, in the words of the call.
    fn needs_queue(&self) -> Option<&'static str> {
        let QueueLimits { most, rate, burst } = self.limits;
        let parts = [
            (most.is_some(), "`most`"),
            (rate.is_some(), "`rate`"),
            (burst.is_some(), "`burst`"),
            (self.limit_key.is_some(), "a limit key"),
            (self.fair.is_some(), "a fair share"),
            (self.priority.is_some(), "a priority"),
        ];
        parts.into_iter().find(|(is_there, _)| *is_there).map(|(_, word)| word)
    }

    /// Checks what a call asks. `has_queue`: whether it goes to a task queue.
    pub(crate) fn check(&self, activity: &str, has_queue: bool) -> Result<(), String> {
        let refused = |text: String| Err(format!("{}: activity `{activity}` {text}", Code::QueueOptions));
        if let Some(word) = self.needs_queue().filter(|_| !has_queue) {
            return refused(format!(
                "has {word}, but no task queue, and runs in the worker of its workflow: limits, fair shares and \
                 priorities are those of a task queue; name one, as `task_queue = \"..\"` in the attribute or \
                 `.task_queue(..)` at the call"
            ));
        }
        if self.limit_key.is_some() && self.limits.is_none() {
            return refused(
                "has a limit key, but no limit: write `most = 5` or `rate = \"10/s\"` into its attribute"
                    .to_owned(),
            );
        }
        let keys =
            [("limit", self.limit_key.as_deref()), ("fair", self.fair.as_ref().map(|(key, _)| &**key))];
        for (what, key) in keys {
            let chars = key.map_or(1, |key| key.chars().count());
            if !(1..=MAX_KEY_CHARS).contains(&chars) || key.is_some_and(|key| key.contains('\0')) {
                return refused(format!(
                    "has a {what} key of {chars} characters: a key has 1 to 1,000, and no NUL"
                ));
            }
        }
        match self.fair {
            Some((_, weight)) if !(1..=MAX_WEIGHT).contains(&weight) => {
                refused(format!("has a fair share of weight {weight}: a weight is 1 to 1,000"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_task_queue_is_refused_without_one() {
        let limits = QueueLimits { most: Some(5), ..QueueLimits::default() };
        let limited = QueueOptions { limits, ..QueueOptions::default() };
        let cases = [
            (limited.clone(), "`most`"),
            (QueueOptions { fair: Some((Arc::from("a"), 1)), ..QueueOptions::default() }, "a fair share"),
            (QueueOptions { priority: Some(Priority::High), ..QueueOptions::default() }, "a priority"),
        ];
        for (options, word) in cases {
            let told = options.check("charge", false).unwrap_err();
            assert!(told.starts_with("AB0622: activity `charge` has ") && told.contains(word), "{told}");
            assert_eq!(options.check("charge", true), Ok(()));
        }
        assert_eq!(QueueOptions::default().check("charge", false), Ok(()));
        let keyed =
            |options: QueueOptions, key: &str| QueueOptions { limit_key: Some(Arc::from(key)), ..options };
        assert_eq!(keyed(limited.clone(), "tenant-7").check("charge", true), Ok(()));
        assert!(keyed(QueueOptions::default(), "x").check("charge", true).unwrap_err().contains("no limit"));
        assert!(keyed(limited.clone(), "").check("charge", true).unwrap_err().contains("0 characters"));
        assert!(keyed(limited, "a\0").check("charge", true).unwrap_err().contains("NUL"));
        let fair = |weight| QueueOptions { fair: Some((Arc::from("a"), weight)), ..QueueOptions::default() };
        assert!(fair(0).check("charge", true).unwrap_err().contains("weight 0"));
        assert!(fair(1_001).check("charge", true).is_err() && fair(1_000).check("charge", true).is_ok());
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_second_and_at_least_one() {
        let bursts = [(Rate::per_second(1_000), 100), (Rate::per_second(10), 1), (Rate::per_minute(100), 1)];
        for (rate, burst) in bursts {
            assert_eq!(rate.default_burst(), burst);
            assert_eq!(QueueLimits { rate: Some(rate), ..QueueLimits::default() }.burst(), Some(burst));
        }
        assert_eq!(QueueLimits { burst: Some(7), ..QueueLimits::default() }.burst(), None);
        assert!((Rate::per_hour(36).in_a_second() - 0.01).abs() < 1e-9);
        assert_eq!(Rate::per_second(0), Rate::per_second(1));
    }

    #[test]
    fn a_priority_has_its_number_and_its_word() {
        assert_eq!(Priority::ALL.map(Priority::number), [1, 2, 3, 4, 5]);
        assert_eq!(serde_json::to_string(&Priority::Highest).unwrap(), "\"highest\"");
        assert!(Priority::Highest < Priority::Lowest);
    }
}
