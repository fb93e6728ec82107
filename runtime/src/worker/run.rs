//! One run that this worker owns, as its workflow thread keeps it: its phase, and what outlasts the phases.
//!
//! ```text
//! Evicted ── something waits for it, or is due ──▶ Loading
//! Loading ── the row says: mine, and open ───────▶ Idle       else let go
//!            it cannot be replayed ──────────────▶ Leaving    (suspended)
//! Idle ───── a turn has something to write ──────▶ Writing
//!            an outcome of an unknown activity ──▶ Loading
//!            evicted ────────────────────────────▶ Evicted    while activities run here
//!            evicted, shutdown ──────────────────▶ Leaving    (released)
//!            told to terminate, out of time ─────▶ Leaving    (ended)
//! Writing ── durable ────────────────────────────▶ Idle       closed or suspended: let go
//!            conflict, lost, unknown ────────────▶ Loading
//!            the database refuses it ────────────▶ Leaving    (suspended)
//! Leaving ── durable ────────────────────────────▶ let go
//! any ────── terminated from outside ────────────▶ let go
//! ```

use super::inputs::Pending;
use super::mailbox::{Mailbox, StartReply};
use super::names::Names;
use super::news::News;
use crate::store::{ExecutionRow, NewExecution};
use abide_core::exec::{Action, ActivityStart, Execution, Standing, UpdateNews};
use abide_core::{Event, ExecutionId};

/// What the thread can do with a run now.
#[expect(clippy::large_enum_variant, reason = "a run is boxed, and most runs are live")]
pub(super) enum Phase {
    /// Its live state is not in memory. A load brings it back when something waits for it.
    Evicted {
        /// When a timer is next due.
        timer_ms: Option<i64>,
        /// Attempts that wait for their back-off.
        delayed: Vec<ActivityStart>,
    },
    /// Its row, journal and inbox are being read. There is one load at a time (PROTOCOL 34).
    Loading {
        /// The number of the load. Other loads are not waited for.
        load: u64,
        /// An append whose outcome is unknown: the load resolves it.
        in_doubt: Option<Box<InFlight>>,
        /// Attempts that waited for their back-off before the load. Those that the journal still has go on.
        delayed: Vec<ActivityStart>,
    },
    /// Its live state is durable. It can run a turn.
    Idle(Live),
    /// The append of a turn is in flight (PROTOCOL 2).
    Writing(Live, InFlight),
    /// Its live state is dropped. The append that releases, suspends or ends it is in flight.
    Leaving(InFlight),
}

/// The live state of a run, and what this worker has to do for it beside its turns.
pub(super) struct Live {
    pub(super) exec: Execution,
    /// Attempts that wait for their back-off.
    pub(super) delayed: Vec<ActivityStart>,
    /// Set by a load: outstanding attempts must be started once the first turn is durable.
    pub(super) restart: bool,
    /// What the journal holds, if each turn is checked.
    #[cfg(feature = "testing")]
    pub(super) recorded: super::verify::Recorded,
}

/// What waits for the acknowledgement of the append in flight.
pub(super) struct InFlight {
    /// What this worker does once the append is durable.
    pub(super) actions: Vec<Action>,
    pub(super) standing: Standing,
    /// The inputs that the append holds, with their inbox rows and the clients that wait for them.
    pub(super) origins: Vec<Pending>,
    pub(super) start: Option<StartReply>,
    /// The run's row once the append is durable.
    pub(super) row: Option<RowState>,
    /// The closing event.
    pub(super) close: Option<Event>,
    /// What became of updates, for the clients of this process once the append is durable.
    pub(super) updates: Vec<UpdateNews>,
    /// What is logged once the append is durable.
    pub(super) news: News,
    /// The append inserts runs that a worker has to claim.
    pub(super) bears: bool,
    /// No worker owns the run after the append.
    pub(super) releases: bool,
    /// Children that this worker owns from their birth.
    pub(super) born: Vec<ExecutionId>,
    /// The run that goes on and is this worker's from its birth, and when it is due.
    pub(super) next: Option<(ExecutionId, i64)>,
}

/// The state of the run's row in the database, as of the last acknowledged append.
#[derive(Clone, Copy, Default)]
pub(super) struct RowState {
    /// The revision that the next row change expects (PROTOCOL 93).
    pub(super) rev: i64,
    pub(super) wake_ms: Option<i64>,
    pub(super) active: bool,
    pub(super) retried_ms: i64,
    pub(super) crashes: u32,
    /// The run was taken over from a dead owner, and `Recovered` is not in the journal yet.
    pub(super) recovered: bool,
    /// Signals that this build has no handler for were offered to other builds.
    pub(super) offered: bool,
    /// The row has what the run begins with: its first turn is not in the journal yet, or did not take all in.
    pub(super) has_context: bool,
    /// When its time is up, and when that of its chain is.
    pub(super) close_by_ms: Option<i64>,
    pub(super) chain_by_ms: Option<i64>,
    /// A schedule started its chain.
    pub(super) scheduled: bool,
}

/// See the module documentation.
pub(super) struct Run {
    pub(super) id: ExecutionId,
    pub(super) names: Names,
    pub(super) phase: Phase,
    pub(super) mailbox: Mailbox,
    pub(super) row: RowState,
    /// When the run was created.
    pub(super) created_ms: i64,
    /// An `Own` message came while the run was being written or read: check its row again once it is let go.
    pub(super) named: bool,
    /// The run was read again because the inbox has an outcome of an activity that it does not know.
    pub(super) read_again: bool,
    /// The log has already warned that the history grows long.
    pub(super) warned: bool,
    /// The time of its entry in the thread's timer heap.
    pub(super) armed_ms: Option<i64>,
    /// An estimate of its memory, in bytes.
    pub(super) bytes: usize,
    /// When it was last used, by the thread's counter.
    pub(super) used: u64,
}

/// What a live run costs beside its history (futures, tables, names), in bytes. An estimate.
pub(super) const BASE_BYTES: usize = 4 * 1024;

impl Default for Phase {
    fn default() -> Self {
        Self::Evicted { timer_ms: None, delayed: Vec::new() }
    }
}

impl Phase {
    /// The live state, if it is in memory.
    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Idle(live) | Self::Writing(live, _) => Some(live),
            Self::Evicted { .. } | Self::Loading { .. } | Self::Leaving(_) => None,
        }
    }

    /// Whether neither an append nor a load is under way.
    pub(super) fn is_free(&self) -> bool {
        matches!(self, Self::Evicted { .. } | Self::Idle(_))
    }

    /// When a timer or a retry is next due, where the thread has to see to it.
    pub(super) fn due_ms(&self) -> Option<i64> {
        match self {
            Self::Evicted { timer_ms, delayed } => due_ms(*timer_ms, delayed),
            Self::Idle(live) => due_ms(live.exec.next_timer_ms(), &live.delayed),
            Self::Loading { .. } | Self::Writing(..) | Self::Leaving(_) => None,
        }
    }

    /// The append of a turn is in flight. Without a live state there was no turn.
    pub(super) fn write(&mut self, in_flight: InFlight) {
        *self = match std::mem::take(self) {
            Self::Idle(live) | Self::Writing(live, _) => Self::Writing(live, in_flight),
            Self::Evicted { .. } | Self::Loading { .. } | Self::Leaving(_) => Self::Leaving(in_flight),
        }
    }

    /// The append in flight is answered. `None`: none is.
    pub(super) fn answered(&mut self) -> Option<InFlight> {
        let (phase, in_flight) = match std::mem::take(self) {
            Self::Writing(live, in_flight) => (Self::Idle(live), Some(in_flight)),
            Self::Leaving(in_flight) => (Self::default(), Some(in_flight)),
            other => (other, None),
        };
        *self = phase;
        in_flight
    }

    /// A load begins. A live state was dropped before.
    pub(super) fn load(&mut self, load: u64, in_doubt: Option<Box<InFlight>>) {
        let delayed = match std::mem::take(self) {
            Self::Evicted { delayed, .. } | Self::Loading { delayed, .. } => delayed,
            Self::Idle(live) | Self::Writing(live, _) => live.delayed,
            Self::Leaving(_) => Vec::new(),
        };
        *self = Self::Loading { load, in_doubt, delayed };
    }

    /// The awaited load is done. Returns the append that it has to resolve, and the attempts that waited for
    /// their back-off before.
    pub(super) fn loaded(&mut self) -> (Option<Box<InFlight>>, Vec<ActivityStart>) {
        match std::mem::take(self) {
            Self::Loading { in_doubt, delayed, .. } => (in_doubt, delayed),
            other => {
                *self = other;
                (None, Vec::new())
            }
        }
    }

    /// Takes the live state out, to drop it: the journal brings it back.
    pub(super) fn unload(&mut self) -> Option<Execution> {
        match std::mem::take(self) {
            Self::Idle(Live { exec, delayed, .. }) => {
                *self = Self::Evicted { timer_ms: exec.next_timer_ms(), delayed };
                Some(exec)
            }
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Live {
    pub(super) fn of(exec: Execution) -> Self {
        Self {
            exec,
            delayed: Vec::new(),
            restart: false,
            #[cfg(feature = "testing")]
            recorded: super::verify::Recorded::default(),
        }
    }

    /// Whether the row must be written before the run may continue. Either a back-off has ended, and its
    /// retry starts only when that is durable; or no activity runs any more, but the row says so.
    pub(super) fn is_row_behind(&self, row: &RowState, now_ms: i64) -> bool {
        let retry = self.exec.next_retry_ms(row.retried_ms).is_some_and(|at_ms| at_ms <= now_ms);
        retry || row.active && !self.exec.any_due(now_ms)
    }
}

fn due_ms(timer_ms: Option<i64>, delayed: &[ActivityStart]) -> Option<i64> {
    let retry = delayed.iter().filter_map(|start| start.not_before_ms).min();
    timer_ms.into_iter().chain(retry).min()
}

impl InFlight {
    /// An append after which the run has this standing, and that no client waits for.
    pub(super) fn of(standing: Standing) -> Self {
        Self {
            actions: Vec::new(),
            releases: standing != Standing::Open,
            standing,
            origins: Vec::new(),
            start: None,
            row: None,
            close: None,
            updates: Vec::new(),
            news: News::default(),
            bears: false,
            born: Vec::new(),
            next: None,
        }
    }
}

impl Run {
    fn of(id: ExecutionId, names: Names, phase: Phase) -> Self {
        Self {
            id,
            names,
            phase,
            mailbox: Mailbox::default(),
            row: RowState::default(),
            created_ms: 0,
            named: false,
            read_again: false,
            warned: false,
            armed_ms: None,
            bytes: 0,
            used: 0,
        }
    }

    /// A run that starts here.
    pub(super) fn starting(new: &NewExecution, names: Names, exec: Execution) -> Self {
        let mut run = Self::of(new.id, names, Phase::Idle(Live::of(exec)));
        (run.row.close_by_ms, run.row.chain_by_ms) = (new.terms.close_by_ms, new.terms.chain_by_ms);
        run.created_ms = new.created_at_ms;
        run
    }

    /// A run that goes on for another one of this worker, and begins at this time or with its first message.
    pub(super) fn going_on(id: ExecutionId, due_ms: i64) -> Self {
        let phase = Phase::Evicted { timer_ms: Some(due_ms), delayed: Vec::new() };
        let row = RowState { wake_ms: Some(due_ms), ..RowState::default() };
        Self { row, ..Self::of(id, Names::unknown(), phase) }
    }

    /// A run of which only the id is known: the database says that this worker owns it.
    pub(super) fn named(id: ExecutionId) -> Self {
        Self::of(id, Names::unknown(), Phase::default())
    }

    /// Takes over the data of the row.
    pub(super) fn know(&mut self, row: &ExecutionRow) {
        self.names = Names::from(row);
        self.created_ms = row.created_at_ms;
        self.row = RowState {
            rev: row.rev,
            wake_ms: row.wake_at_ms,
            active: row.active,
            retried_ms: row.retried_ms,
            crashes: row.crashes,
            recovered: row.recovered_from.is_some(),
            offered: self.row.offered,
            has_context: row.context.is_some(),
            close_by_ms: row.close_by_ms.filter(|_| !mutant!(ForgetLimit)),
            chain_by_ms: row.chain_by_ms,
            scheduled: row.scheduled.is_some(),
        };
    }

    /// When the thread has to see to it: a timer or a retry is due, or its time is up.
    pub(super) fn due_ms(&self) -> Option<i64> {
        let limit = self.row.close_by_ms.filter(|_| self.phase.is_free());
        self.phase.due_ms().into_iter().chain(limit).min()
    }

    pub(super) fn exec(&self) -> Option<&Execution> {
        match &self.phase {
            Phase::Idle(live) | Phase::Writing(live, _) => Some(&live.exec),
            Phase::Evicted { .. } | Phase::Loading { .. } | Phase::Leaving(_) => None,
        }
    }

    /// Whether the live state may be dropped: nothing is in progress that a replay would not restore.
    pub(super) fn is_idle(&self) -> bool {
        self.phase.is_free() && self.mailbox.is_empty()
    }
}
