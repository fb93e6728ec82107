//! Catch-up, clocks that jump, and jitter.

use super::*;

#[test]
fn slots_outside_of_the_window_are_missed() {
    let mut schedule = schedule(every(MINUTE), Overlap::AllowAll);
    schedule.policy.catch_up_ms = (10 * MINUTE).unsigned_abs();
    let step = schedule.go(Vec::new(), 30 * MINUTE);
    assert_eq!(started(&step), (20..=30).map(|minute| minute * MINUTE).collect::<Vec<_>>());
    assert_eq!(step.state.counts.missed, 19);
    // A shorter window than 10 s counts as 10 s.
    schedule.policy.catch_up_ms = 0;
    assert_eq!(started(&schedule.go(Vec::new(), 31 * MINUTE + 9_999)), [31 * MINUTE]);
    assert!(schedule.go(Vec::new(), 32 * MINUTE + 10_001).starts.is_empty());
    assert_eq!(schedule.state.counts.missed, 20);
}

#[test]
fn a_hundred_thousand_slots_come_in_bounded_steps() {
    let mut schedule = schedule(every(SECOND), Overlap::AllowAll);
    let now = 100_000 * SECOND;
    let (mut next, mut steps) = (Some(SECOND), 0);
    let mut slots = 0;
    while next.is_some_and(|next| next <= now) {
        let step = schedule.go(Vec::new(), now);
        assert!(step.starts.len() <= MAX_SLOTS && step.state.recent.len() <= RECENT);
        (next, steps, slots) = (step.next_at_ms, steps + 1, slots + step.starts.len());
    }
    assert_eq!((slots, steps, next), (100_000, 100, Some(now + SECOND)));
}

#[test]
fn a_clock_that_is_set_back_fires_nothing_again() {
    let mut schedule = schedule(every(MINUTE), Overlap::AllowAll);
    assert_eq!(schedule.go(Vec::new(), 61 * MINUTE).starts.len(), 61);
    for now in [MINUTE, 30 * MINUTE, 61 * MINUTE] {
        let step = schedule.go(Vec::new(), now);
        assert_eq!(
            (step.starts.len(), step.next_at_ms, step.last_slot_ms),
            (0, Some(62 * MINUTE), 61 * MINUTE)
        );
    }
    assert_eq!(started(&schedule.go(Vec::new(), 62 * MINUTE)), [62 * MINUTE]);
}

#[test]
fn a_step_between_slots_moves_nothing() {
    // A clock that is an hour ahead at the report of a run must not pass a slot of that hour over.
    let mut schedule = schedule(every(DAY), Overlap::Skip);
    schedule.go(Vec::new(), DAY);
    let step = schedule.go(vec![ended(DAY, RunEnd::Completed)], DAY + 2 * HOUR);
    assert_eq!(step.last_slot_ms, DAY);
}

#[test]
fn jitter_is_the_same_each_time_and_ends_before_the_next_slot() {
    let spec = Spec { jitter_ms: (10 * MINUTE).unsigned_abs(), ..every(MINUTE) };
    let mut other = schedule(spec.clone(), Overlap::AllowAll);
    other.id = "other".to_owned();
    let mut schedule = schedule(spec, Overlap::AllowAll);
    let (mut delays, mut equal) = (Vec::new(), 0);
    for minute in 1..=200 {
        let due = schedule.go(Vec::new(), schedule.last_slot_ms).next_at_ms.expect("a time");
        equal += usize::from(other.go(Vec::new(), other.last_slot_ms).next_at_ms == Some(due));
        let slot = minute * MINUTE;
        assert!(slot <= due && due < slot + MINUTE);
        assert_eq!(schedule.go(Vec::new(), due - 1).starts.len(), 0);
        // Its id and slot are nominal.
        assert_eq!(started(&schedule.go(Vec::new(), due)), [slot]);
        other.go(Vec::new(), due.max(slot + MINUTE - 1));
        delays.push(due - slot);
    }
    let mean = delays.iter().sum::<i64>() / 200;
    assert!((25 * SECOND..35 * SECOND).contains(&mean), "spread over the minute: {mean}");
    assert!(equal < 5, "each schedule has its own: {equal}");
    // The hash is a part of what schedules promise: the same in each process and release.
    assert_eq!(delays[..4], [52_050, 31_222, 32_392, 35_049]);
}

#[test]
fn what_is_excluded_for_long_is_passed_in_steps() {
    // Odd seconds are excluded: each is a stretch of its own.
    let mut spec = Spec { end_at_ms: Some(DAY), ..every(SECOND) };
    spec.exclude = vec![
        Calendar::default().second(CalendarRange { start: 0, end: 58, step: 2 }).minute(0..=59).hour(0..=23),
    ];
    spec.exclude.push(
        Calendar::default().second(CalendarRange { start: 1, end: 59, step: 2 }).minute(0..=59).hour(0..=11),
    );
    let mut schedule = schedule(spec, Overlap::AllowAll);
    let mut now = 0;
    let mut first = None;
    for _ in 0..1_000 {
        let step = schedule.go(Vec::new(), now);
        first = started(&step).first().copied();
        let Some(next) = step.next_at_ms.filter(|_| first.is_none()) else { break };
        assert!(next > now, "each step gets on");
        now = next;
    }
    assert_eq!(first, Some(12 * HOUR + SECOND));
}
