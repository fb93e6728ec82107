//! What a run begins with besides its input.

use crate::carried::Carried;
use crate::policy::RetryPolicy;
use serde::{Deserialize, Serialize};

/// What a run begins with besides its input. Until the first turn is durable, the run's row holds it; then its
/// `Started` event does. Empty for a run that a client started plainly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartContext {
    /// The run that started this one as its child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// How many parents are above it. 0: it is no child.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// What the run before it in its chain has handed on.
    #[serde(skip_serializing_if = "Carried::is_empty")]
    pub carried: Carried,
    /// How long each run of its chain may take, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_timeout_ms: Option<i64>,
    /// Whether another run follows where this one fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// How many runs before it have failed, and were followed by another for that.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed_runs: u32,
}

impl StartContext {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let parent = |parent: &Parent| parent.workflow_id.len() + parent.run_id.len();
        self.parent.as_ref().map_or(0, parent) + self.carried.bytes()
    }
}

/// The run that started a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parent {
    /// Its workflow id.
    pub workflow_id: String,
    /// Its run id.
    pub run_id: String,
}

impl Parent {
    /// The parent of these ids.
    pub fn new(workflow_id: impl Into<String>, run_id: impl Into<String>) -> Self {
        Self { workflow_id: workflow_id.into(), run_id: run_id.into() }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u32) -> bool {
    *n == 0
}
