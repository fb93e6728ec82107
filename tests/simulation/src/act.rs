//! A call of an activity as data: what its attempts do, and the options of the call.

use serde::{Deserialize, Serialize};

/// The label of the activities that the handler of `visit` runs. The labels of a program begin above it.
pub(crate) const VISIT: u32 = 0;

/// A call of the one activity, as data: what its attempts do, and the options of the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Act {
    /// Identifies the place in the program that makes the call: one call per label in a run. Visits share
    /// [`VISIT`].
    pub(crate) label: u32,
    pub(crate) role: Role,
    /// The value that a `Step::Draw` drew, or the number of the visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// What each attempt does. Attempts beyond the last entry repeat it. Never empty.
    pub(crate) deeds: Vec<Deed>,
    pub(crate) options: Options,
    pub(crate) on_error: OnError,
    /// How many items each attempt publishes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) items: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The role of an activity, for the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    Plain,
    /// When it succeeds, its saga registers the activity that undoes it.
    Leg {
        saga: u32,
    },
    Undo {
        saga: u32,
    },
    /// It is run by a signal's handler.
    Visit,
}

/// What the workflow does with an activity's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnError {
    /// Records the error and continues.
    Keep,
    /// Ends with the error, as `?` does.
    Raise,
}

/// What one attempt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deed {
    pub(crate) ms: u64,
    pub(crate) how: How,
    /// Whether it stops when its token is cancelled.
    pub(crate) heeds: bool,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    Return,
    /// With an error that another attempt may fix.
    Retry,
    /// With an error that no attempt can fix.
    Refuse,
    /// Not by itself: it waits for its token.
    Hang,
}

/// The options of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) start_to_close: Option<u64>,
    pub(crate) schedule_to_close: Option<u64>,
    pub(crate) schedule_to_start: Option<u64>,
    /// 0: no limit.
    pub(crate) max_attempts: u32,
    pub(crate) backoff: u64,
    pub(crate) cancellation: Cancellation,
    pub(crate) place: Place,
}

/// Like `abide::CancellationType`, which does not serialize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cancellation {
    #[default]
    Try,
    Wait,
    Abandon,
}

/// Where an activity runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// In the worker that runs the workflow.
    #[default]
    Here,
    /// By the workers of [`AWAY`](crate::effects::AWAY).
    Away,
    /// On a task queue that no worker serves.
    Nowhere,
    /// In the worker that runs the workflow, in a transaction of its database. Only on stores that have
    /// transactions.
    Within,
}

impl Act {
    /// A call whose activity returns at once.
    pub(crate) fn new(label: u32) -> Self {
        let deeds = vec![Deed { ms: 0, how: How::Return, heeds: false }];
        let options = Options { backoff: 10, ..Options::default() };
        Self { label, role: Role::Plain, note: None, deeds, options, on_error: OnError::Keep, items: 0 }
    }

    /// The call of the handler of `visit`. A handler's activity never fails.
    pub(crate) fn visit(n: u64) -> Self {
        Self { role: Role::Visit, note: Some(n.to_string()), ..Self::new(VISIT) }
    }

    /// What this attempt does. Attempts count from 1.
    pub(crate) fn deed(&self, attempt: u32) -> Deed {
        let last = self.deeds.len().saturating_sub(1);
        let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(last).min(last);
        self.deeds.get(at).copied().unwrap_or(Deed { ms: 0, how: How::Return, heeds: false })
    }

    /// The result, which depends only on the input.
    pub(crate) fn result(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(self.label);
        for byte in self.note.iter().flat_map(|note| note.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // JSON numbers are exact for every reader up to 2^53.
        hash.wrapping_mul(0x0100_0000_01b3) >> 12
    }

    /// Whether it runs without end, also if attempts of it are lost: no worker serves it or it hangs, and no
    /// limit ends it.
    pub(crate) fn is_endless(&self) -> bool {
        let Options { start_to_close, schedule_to_close, schedule_to_start, max_attempts, place, .. } =
            &self.options;
        if schedule_to_close.is_some() {
            return false;
        }
        if *place == Place::Nowhere {
            return schedule_to_start.is_none();
        }
        let deeds = self.deeds.len() as u32;
        let tried = if *max_attempts == 0 { deeds } else { deeds.min(*max_attempts) };
        let late = |deed: Deed| start_to_close.is_some_and(|limit| deed.ms >= limit);
        let ends = |attempt| match self.deed(attempt) {
            Deed { how: How::Hang, .. } if start_to_close.is_none() => Some(*max_attempts != 0),
            Deed { how: How::Hang | How::Retry, .. } => None,
            deed => (!late(deed)).then_some(true),
        };
        let decided = (1..=tried).find_map(ends);
        !decided.unwrap_or(*max_attempts != 0)
    }

    pub(crate) fn scale(&mut self, by: u64) {
        self.deeds.iter_mut().for_each(|deed| deed.ms = scaled(deed.ms, by));
        let options = &mut self.options;
        let limits =
            [&mut options.start_to_close, &mut options.schedule_to_close, &mut options.schedule_to_start];
        limits.into_iter().flatten().for_each(|ms| *ms = scaled(*ms, by));
        options.backoff = scaled(options.backoff, by);
    }
}

/// A scaled time. A time greater than 0 stays greater than 0.
pub(crate) fn scaled(ms: u64, by: u64) -> u64 {
    ms.div_ceil(by.max(1))
}
