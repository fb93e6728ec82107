//! Terms of a program's runs: how often a failed run is tried again, and how long it may take. Plain data.

use crate::act::scaled;
use abide::RetryPolicy;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The terms under which a program is started, by clients and by parents. All times are ms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Terms {
    /// The most attempts of the workflow. 0: it is not tried again.
    pub(crate) attempts: u32,
    /// The wait before the second attempt.
    pub(crate) backoff: u64,
    /// The most time of one run.
    pub(crate) run: Option<u64>,
    /// The most time of a chain.
    pub(crate) chain: Option<u64>,
}

impl Terms {
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn retry(&self) -> Option<RetryPolicy> {
        (self.attempts > 0).then(|| RetryPolicy {
            initial_interval: Duration::from_millis(self.backoff),
            backoff_coefficient: 1.5,
            max_interval: None,
            max_attempts: self.attempts,
        })
    }

    pub(crate) fn scale(&mut self, by: u64) {
        self.backoff = scaled(self.backoff, by);
        [&mut self.run, &mut self.chain].into_iter().flatten().for_each(|ms| *ms = scaled(*ms, by));
    }
}
