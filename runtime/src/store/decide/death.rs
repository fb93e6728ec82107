//! Which workers are dead, and how their executions are freed (PROTOCOL 14, 18, 19).

#[cfg(any(feature = "postgres", feature = "testing"))]
use crate::store::owner::{DeadWorker, Deaths};
#[cfg(any(feature = "postgres", feature = "testing"))]
use abide_core::Incarnation;
#[cfg(any(feature = "postgres", feature = "testing"))]
use std::time::Duration;

/// A worker as the server shows it; `P` names its process.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) struct Seen<P> {
    pub(crate) incarnation: Incarnation,
    pub(crate) name: String,
    pub(crate) process: P,
    /// The time until its lease runs out. `None`: it has none, because a take-over was begun and not finished.
    pub(crate) left_ms: Option<i64>,
    /// Whether it has renewed its lease since the server started.
    pub(crate) same_server: bool,
    /// Whether the advisory lock that shows that it lives is held.
    pub(crate) held: bool,
}

#[cfg(any(feature = "postgres", feature = "testing"))]
impl<P> Seen<P> {
    /// Whether the operating system says that its process has ended. Two copies of one running machine look
    /// like the same machine to the operating system, so the server must have seen the end of the process's
    /// session too, which it does at once.
    pub(crate) fn is_gone(&self, is_mine: bool, has_ended: impl Fn(&P) -> bool) -> bool {
        !is_mine && !self.held && has_ended(&self.process)
    }
}

/// Workers whose locks are free while their leases last: their leases are to be shortened.
#[cfg(any(feature = "postgres", feature = "testing"))]
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    pub(crate) workers: Vec<Incarnation>,
    left_ms: Option<i64>,
}

#[cfg(any(feature = "postgres", feature = "testing"))]
impl Suspects {
    /// When to look again. `shortened`: the time until the first of the shortened leases runs out.
    pub(crate) fn next(left_ms: Option<i64>, shortened: Option<i64>) -> Option<Duration> {
        let left_ms = left_ms.into_iter().chain(shortened).min();
        left_ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    pub(crate) fn left_ms(&self) -> Option<i64> {
        self.left_ms
    }
}

/// Judges all workers. `is_mine`: a process never calls its own workers dead, nor suspects them.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) fn judge<P>(
    workers: impl IntoIterator<Item = Seen<P>>,
    is_mine: impl Fn(Incarnation) -> bool,
    has_ended: impl Fn(&P) -> bool,
) -> (Deaths, Suspects) {
    let (mut deaths, mut suspects) = (Deaths::default(), Suspects::default());
    for worker in workers {
        let mine = is_mine(worker.incarnation);
        let gone = worker.is_gone(mine, &has_ended);
        match worker.left_ms.filter(|left_ms| !gone && *left_ms >= 0) {
            None => {
                let Seen { incarnation, name, .. } = worker;
                deaths.dead.push(DeadWorker { incarnation, name, gone });
            }
            Some(left_ms) if !mine && !worker.held && worker.same_server => {
                suspects.workers.push(worker.incarnation);
                suspects.left_ms = suspects.left_ms.into_iter().chain([left_ms]).min();
            }
            Some(_) => {}
        }
    }
    (deaths, suspects)
}

/// What a take-over sets in the row of an execution of the dead worker: `$1` the dead worker, `$2` now. If an
/// activity was running, the crash counter rises and the execution is due at once.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! taken_over_columns {
    () => {
        "owner = NULL, rev = rev + 1, recovered_from = $1, crashes = crashes + CASE WHEN active THEN 1 ELSE 0 END,
        wake_at = CASE WHEN active AND status < 10 THEN $2 ELSE wake_at END"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use taken_over_columns;

/// What a clean leave sets in the rows of the worker's executions: `$1` the worker, `$2` now. It is no crash,
/// so nothing is counted.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! left_columns {
    () => {
        "owner = NULL, rev = rev + 1, recovered_from = CASE WHEN active THEN $1 ELSE recovered_from END,
        wake_at = CASE WHEN active AND status < 10 THEN $2 ELSE wake_at END"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use left_columns;

#[cfg(test)]
#[cfg(any(feature = "postgres", feature = "testing"))]
mod tests {
    use super::*;

    fn seen(id: i64, left_ms: Option<i64>, held: bool) -> Seen<bool> {
        let name = format!("w{id}");
        Seen { incarnation: Incarnation(id), name, process: false, left_ms, same_server: true, held }
    }

    #[test]
    fn the_late_and_the_gone_are_dead_and_who_lets_go_is_suspected() {
        let elsewhere = Seen { same_server: false, ..seen(6, Some(9), false) };
        let ended = Seen { process: true, ..seen(5, Some(9), false) };
        let ended_and_held = Seen { process: true, ..seen(7, Some(9), true) };
        let all = [
            seen(1, Some(9), true),
            seen(2, Some(-1), true),
            seen(3, None, true),
            seen(4, Some(7), false),
            ended,
            elsewhere,
            ended_and_held,
            seen(8, Some(5), false),
            seen(9, Some(8), false),
        ];
        let (deaths, suspects) = judge(all, |id| id == Incarnation(8), |ended| *ended);
        let dead: Vec<_> = deaths.dead.iter().map(|dead| (dead.incarnation.0, dead.gone)).collect();
        assert_eq!(dead, [(2, false), (3, false), (5, true)]);
        assert_eq!(suspects.workers, [Incarnation(4), Incarnation(9)]);
        assert_eq!(suspects.left_ms(), Some(7));
        assert_eq!(Suspects::next(Some(7), Some(-3)), Some(Duration::ZERO));
        assert_eq!(Suspects::next(None, None), None);
    }
}
