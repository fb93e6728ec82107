//! What happens at a slot while a run is open.

use super::*;

/// The schedule fires each minute; its first run is open.
fn busy(overlap: Overlap) -> Schedule {
    let mut schedule = schedule(every(MINUTE), overlap);
    let step = schedule.go(Vec::new(), MINUTE);
    assert_eq!(started(&step), [MINUTE]);
    assert_eq!(step.starts[0].workflow_id, "s-1970-01-01T00:01:00Z");
    assert_eq!(step.next_at_ms, Some(2 * MINUTE));
    schedule
}

fn done(slot: i64) -> Vec<Input> {
    vec![ended(slot * MINUTE, RunEnd::Completed)]
}

fn waiting(schedule: &Schedule) -> Vec<i64> {
    schedule.state.buffered.iter().map(|entry| entry.slot_ms / MINUTE).collect()
}

#[test]
fn skip_starts_nothing_while_a_run_is_open() {
    let mut schedule = busy(Overlap::Skip);
    let step = schedule.go(Vec::new(), 3 * MINUTE);
    assert_eq!((started(&step), step.state.counts.skipped), (vec![], 2));
    // Nothing is inferred from absence: no report, no end.
    assert!(schedule.go(Vec::new(), 4 * MINUTE).starts.is_empty());
    let step = schedule.go(done(1), 4 * MINUTE + 1);
    assert_eq!((started(&step), step.next_at_ms), (vec![], Some(5 * MINUTE)));
    assert_eq!(started(&schedule.go(Vec::new(), 5 * MINUTE)), [5 * MINUTE]);
    // A report and a slot in one step: the run has ended.
    assert_eq!(started(&schedule.go(done(5), 6 * MINUTE)), [6 * MINUTE]);
}

#[test]
fn buffer_one_keeps_the_first() {
    let mut schedule = busy(Overlap::BufferOne);
    let step = schedule.go(Vec::new(), 4 * MINUTE);
    assert_eq!((waiting(&schedule), step.state.counts.skipped, started(&step)), (vec![2], 2, vec![]));
    // S14: the end of the run is a wake-up of its own.
    let step = schedule.go(done(1), 4 * MINUTE + 1);
    assert_eq!((started(&step), waiting(&schedule)), (vec![2 * MINUTE], vec![]));
    assert_eq!(schedule.state.running.len(), 1);
}

#[test]
fn buffer_all_keeps_a_thousand() {
    let mut schedule = busy(Overlap::BufferAll);
    let step = schedule.go(Vec::new(), 4 * MINUTE);
    assert_eq!((started(&step), waiting(&schedule)), (vec![], vec![2, 3, 4]));
    assert_eq!(started(&schedule.go(done(1), 4 * MINUTE + 1)), [2 * MINUTE]);
    assert_eq!(started(&schedule.go(done(2), 4 * MINUTE + 2)), [3 * MINUTE]);
    for now in [1_000 * MINUTE, 2_000 * MINUTE, 2_000 * MINUTE] {
        schedule.go(Vec::new(), now);
    }
    // 4 to 2,000 are 1,997 slots.
    assert_eq!((schedule.state.buffered.len(), schedule.state.counts.dropped), (1_000, 997));
    assert_eq!(waiting(&schedule)[..2], [4, 5]);
}

#[test]
fn others_are_stopped_once_and_the_newest_slot_waits() {
    for (overlap, cancels, terminates) in [(Overlap::CancelOther, 1, 0), (Overlap::TerminateOther, 0, 1)] {
        let mut schedule = busy(overlap);
        let step = schedule.go(Vec::new(), 3 * MINUTE);
        assert_eq!((step.cancels.len(), step.terminates.len()), (cancels, terminates));
        assert_eq!((waiting(&schedule), step.state.counts.skipped), (vec![3], 1));
        let asked = step.cancels.first().or(step.terminates.first()).map(String::as_str);
        assert_eq!(asked, Some("s-1970-01-01T00:01:00Z"));
        let step = schedule.go(Vec::new(), 4 * MINUTE);
        assert_eq!((step.cancels.len(), step.terminates.len(), waiting(&schedule)), (0, 0, vec![4]));
        let step = schedule.go(vec![ended(MINUTE, RunEnd::Cancelled)], 4 * MINUTE + 1);
        assert_eq!((started(&step), waiting(&schedule)), (vec![4 * MINUTE], vec![]));
        assert_eq!(step.state.running[0].asked, None);
    }
    // A run that is asked to cancel, and does not, can still be terminated.
    let mut schedule = busy(Overlap::CancelOther);
    assert_eq!(schedule.go(Vec::new(), 2 * MINUTE).cancels.len(), 1);
    schedule.policy.overlap = Overlap::TerminateOther;
    assert_eq!(schedule.go(Vec::new(), 3 * MINUTE).terminates.len(), 1);
}

#[test]
fn of_many_slots_that_would_stop_each_other_the_newest_starts() {
    let mut schedule = schedule(every(MINUTE), Overlap::CancelOther);
    let step = schedule.go(Vec::new(), 5 * MINUTE);
    assert_eq!((started(&step), step.cancels.len(), step.state.counts.skipped), (vec![5 * MINUTE], 0, 4));
}

#[test]
fn all_are_allowed_and_do_not_count_as_open() {
    let mut schedule = busy(Overlap::AllowAll);
    assert_eq!(started(&schedule.go(Vec::new(), 3 * MINUTE)), [2 * MINUTE, 3 * MINUTE]);
    assert_eq!((schedule.state.overlapping, schedule.state.running.len()), (3, 0));
    schedule.go(done(2), 3 * MINUTE + 1);
    assert_eq!(schedule.state.overlapping, 2);
    schedule.policy.overlap = Overlap::Skip;
    assert_eq!(started(&schedule.go(Vec::new(), 4 * MINUTE)), [4 * MINUTE], "as in Temporal");
}

#[test]
fn a_failure_pauses_a_schedule_that_asks_for_it() {
    for (end, pauses) in [
        (RunEnd::Failed, true),
        (RunEnd::TimedOut, true),
        (RunEnd::Completed, false),
        (RunEnd::Cancelled, false),
        (RunEnd::Terminated, false),
    ] {
        let mut schedule = busy(Overlap::BufferAll);
        schedule.policy.pause_on_failure = true;
        schedule.go(Vec::new(), 2 * MINUTE);
        let step = schedule.go(vec![ended(MINUTE, end)], 3 * MINUTE);
        assert_eq!((step.paused, step.next_at_ms.is_none()), (pauses, pauses), "{end:?}");
        // What waited is dropped with the pause, as in Temporal.
        assert_eq!((step.starts.is_empty(), step.state.counts.dropped), (pauses, u64::from(pauses)));
        assert_eq!(step.state.last.as_ref().map(|last| last.end), Some(end));
        assert_eq!(step.note.is_some_and(|note| note.contains("s-1970-01-01T00:01:00Z")), pauses);
    }
    let mut schedule = busy(Overlap::AllowAll);
    schedule.policy.pause_on_failure = true;
    assert!(
        schedule.go(vec![ended(MINUTE, RunEnd::Failed)], MINUTE + 1).paused,
        "also where all are allowed"
    );
    let mut schedule = busy(Overlap::Skip);
    assert!(!schedule.go(vec![ended(MINUTE, RunEnd::Failed)], MINUTE + 1).paused);
}

#[test]
fn actions_that_remain_are_counted_down() {
    let mut schedule = schedule(every(MINUTE), Overlap::AllowAll);
    schedule.state.remaining = Some(2);
    let step = schedule.go(Vec::new(), MINUTE);
    assert_eq!((step.next_at_ms, step.state.remaining), (Some(2 * MINUTE), Some(1)));
    let step = schedule.go(Vec::new(), 4 * MINUTE);
    assert_eq!((started(&step), step.next_at_ms, step.state.counts.dropped), (vec![2 * MINUTE], None, 2));
    // A trigger does not count, and is allowed.
    let step = schedule.go(vec![trigger("t", None)], 5 * MINUTE);
    assert_eq!((step.starts.len(), step.state.remaining, step.next_at_ms), (1, Some(0), None));
    // More of them: not for the slots that passed meanwhile.
    let step = schedule.change(Change { remaining: Some(Some(1)), ..Change::default() }, 10 * MINUTE);
    assert_eq!((started(&step), step.next_at_ms), (vec![], Some(11 * MINUTE)));
}

#[test]
fn a_taken_id_is_a_failed_action() {
    let mut schedule = busy(Overlap::BufferAll);
    schedule.go(Vec::new(), 3 * MINUTE);
    let mut step = step(&schedule, done(1), 3 * MINUTE + 1).expect("a spec");
    step.refuse("s-1970-01-01T00:02:00Z", "another run has the id", 3 * MINUTE + 1);
    assert_eq!((step.starts.len(), step.state.running.len(), step.next_at_ms), (0, 0, Some(3 * MINUTE + 1)));
    assert_eq!((step.state.counts.failed, step.state.counts.started), (1, 1));
    assert!(step.state.recent[1].refused.as_deref().is_some_and(|why| why.contains("another run")));
    schedule.take(step);
    assert_eq!(started(&schedule.go(Vec::new(), 3 * MINUTE + 1)), [3 * MINUTE]);
    // A start that there is not changes nothing.
    let mut step = super::step(&schedule, Vec::new(), 3 * MINUTE + 2).expect("a spec");
    let before = step.clone();
    step.refuse("s-1970-01-01T00:02:00Z", "another run has the id", 3 * MINUTE + 2);
    assert_eq!(step, before);
}

#[test]
fn the_last_ten_starts_are_kept() {
    let mut schedule = schedule(every(MINUTE), Overlap::AllowAll);
    schedule.go(Vec::new(), 25 * MINUTE);
    let slots: Vec<i64> = schedule.state.recent.iter().map(|recent| recent.slot_ms / MINUTE).collect();
    assert_eq!(slots, (16..=25).collect::<Vec<_>>());
    schedule.go(done(20), 25 * MINUTE + 1);
    assert_eq!(schedule.state.recent[4].end, Some(RunEnd::Completed));
}
