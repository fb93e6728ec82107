//! Triggers, backfills, pauses and changes.

use super::*;

#[test]
fn a_trigger_starts_at_once_and_leaves_the_slots_alone() {
    let mut schedule = schedule(every(HOUR), Overlap::Skip);
    let step = schedule.go(vec![trigger("t-1", None)], 90_500);
    assert_eq!(step.starts[0].workflow_id, "s-1970-01-01T00:01:30.5Z-t-1");
    assert_eq!((step.last_slot_ms, step.next_at_ms), (0, Some(HOUR)));
    assert_eq!(step.answers[0].outcome, Outcome::Started);
    assert_eq!(step.answers[0].workflow_id.as_deref(), Some("s-1970-01-01T00:01:30.5Z-t-1"));
    // It is an open run: what comes next is skipped, or waits, as it asks.
    let step = schedule.go(vec![trigger("t-2", None), trigger("t-3", Some(Overlap::BufferAll))], 91_000);
    assert_eq!(
        (step.answers[0].outcome.clone(), step.answers[1].outcome.clone()),
        (Outcome::Skipped, Outcome::Waits)
    );
    let step = schedule.go(vec![trigger("t-4", Some(Overlap::AllowAll))], 92_000);
    assert_eq!(step.answers[0].outcome, Outcome::Started);
    let report = Input::Ended {
        workflow_id: "s-1970-01-01T00:01:30.5Z-t-1".to_owned(),
        slot_ms: 90_500,
        end: RunEnd::Completed,
        message: None,
    };
    let step = schedule.go(vec![report], 93_000);
    assert_eq!(step.starts[0].workflow_id, "s-1970-01-01T00:01:31Z-t-3");
}

#[test]
fn a_refused_trigger_is_answered() {
    let mut step =
        step(&schedule(every(HOUR), Overlap::Skip), vec![trigger("t", None)], 1_000).expect("a spec");
    let id = step.starts[0].workflow_id.clone();
    step.refuse(&id, "another run has the id", 1_000);
    assert_eq!(step.answers[0].outcome, Outcome::Refused("another run has the id".to_owned()));
}

#[test]
fn long_request_ids_make_other_workflow_ids() {
    let ids = |end: &str| {
        let request_id = format!("{}{end}", "x".repeat(1_000));
        let made = schedule(every(HOUR), Overlap::AllowAll).go(vec![trigger(&request_id, None)], 0);
        made.starts[0].workflow_id.clone()
    };
    assert_ne!(ids("a"), ids("b"));
    assert!(ids("a").len() < 100);
}

#[test]
fn a_backfill_starts_the_slots_of_a_past_time() {
    let mut schedule = schedule(every(MINUTE), Overlap::Skip);
    schedule.last_slot_ms = DAY;
    let step = schedule.go(vec![backfill(MINUTE, 3 * MINUTE, Overlap::AllowAll)], DAY + 1);
    assert_eq!(started(&step), [MINUTE, 2 * MINUTE, 3 * MINUTE], "both ends are in it");
    assert_eq!(step.starts[0].workflow_id, "s-1970-01-01T00:01:00Z-b");
    assert_eq!((step.last_slot_ms, step.next_at_ms), (DAY, Some(DAY + MINUTE)));
    assert_eq!((step.answers[0].outcome.clone(), step.state.backfills.len()), (Outcome::Waits, 0));
    let step = schedule.go(vec![backfill(DAY, DAY + 2 * MINUTE, Overlap::AllowAll)], DAY + 1);
    assert_eq!(started(&step), [DAY], "later slots come by themselves");
    for (from, to) in [(DAY + 2, DAY + 3), (2, 1)] {
        let step = schedule.go(vec![backfill(from, to, Overlap::AllowAll)], DAY + 1);
        assert!(matches!(&step.answers[0].outcome, Outcome::Refused(_)), "{from} to {to}");
        assert_eq!((step.starts.len(), step.state.backfills.len()), (0, 0));
    }
}

#[test]
fn a_long_backfill_goes_on_in_steps() {
    let mut schedule = schedule(every(MINUTE), Overlap::Skip);
    schedule.last_slot_ms = 10 * DAY;
    let now = 10 * DAY + 1;
    let mut slots = Vec::new();
    let mut inputs = vec![backfill(1, 3_500 * MINUTE, Overlap::AllowAll)];
    for _ in 0..4 {
        let step = schedule.go(std::mem::take(&mut inputs), now);
        assert!(step.starts.len() <= MAX_SLOTS);
        slots.extend(started(&step));
        assert_eq!(step.next_at_ms == Some(now), slots.len() < 3_500);
    }
    assert_eq!(slots, (1..=3_500).map(|minute| minute * MINUTE).collect::<Vec<_>>());
}

/// What is to wait comes as there is room: nothing is dropped, and no step is due that changes nothing.
#[test]
fn a_backfill_waits_for_room() {
    let mut schedule = schedule(every(MINUTE), Overlap::Skip);
    schedule.last_slot_ms = 10 * DAY;
    let now = 10 * DAY + 1;
    let (mut slots, mut steps) = (Vec::new(), 0);
    let mut inputs = vec![backfill(MINUTE, 1_500 * MINUTE, Overlap::BufferAll)];
    while slots.len() < 1_500 {
        let step = schedule.go(std::mem::take(&mut inputs), now);
        slots.extend(started(&step));
        assert!(step.state.buffered.len() <= MAX_BUFFERED);
        steps += 1;
        assert!(steps < 5_000);
        if step.next_at_ms != Some(now) {
            let open = step.state.running[0].clone();
            let end = RunEnd::Completed;
            inputs = vec![Input::Ended {
                workflow_id: open.workflow_id,
                slot_ms: open.slot_ms,
                end,
                message: None,
            }];
        }
    }
    assert_eq!(slots, (1..=1_500).map(|minute| minute * MINUTE).collect::<Vec<_>>());
    assert_eq!((schedule.state.counts.dropped, schedule.state.backfills.len()), (0, 0));
}

#[test]
fn backfills_are_not_unbounded() {
    let mut schedule = schedule(every(MINUTE), Overlap::BufferAll);
    schedule.last_slot_ms = 10 * DAY;
    let inputs = vec![backfill(MINUTE, 2_000 * MINUTE, Overlap::BufferAll); MAX_BACKFILLS + 1];
    let step = schedule.go(inputs, 10 * DAY);
    assert!(matches!(&step.answers[MAX_BACKFILLS].outcome, Outcome::Refused(_)));
    assert_eq!(step.state.backfills.len(), MAX_BACKFILLS);
}

#[test]
fn nothing_of_a_pause_starts() {
    let mut schedule = schedule(every(MINUTE), Overlap::BufferAll);
    schedule.go(Vec::new(), 2 * MINUTE);
    // Slot 3 is due at the moment of the pause; slot 2 waits.
    let pause = Input::Pause { note: Some("holidays".to_owned()) };
    let step = schedule.go(vec![ended(MINUTE, RunEnd::Completed), pause], 3 * MINUTE);
    assert_eq!((step.starts.len(), step.next_at_ms, step.paused), (0, None, true));
    assert_eq!((step.note.as_deref(), step.state.counts.dropped), (Some("holidays"), 1));
    assert_eq!(schedule.go(Vec::new(), 10 * MINUTE).starts.len(), 0);
    // What is asked for by hand does start.
    let step = schedule
        .go(vec![trigger("t", None), backfill(MINUTE, 2 * MINUTE, Overlap::AllowAll)], 10 * MINUTE + 1);
    assert_eq!((step.starts.len(), step.next_at_ms), (3, None));
    let step = schedule.go(vec![Input::Unpause { note: None }], 20 * MINUTE);
    assert_eq!((started(&step), step.next_at_ms, step.paused), (vec![], Some(21 * MINUTE), false));
    assert_eq!(step.note.as_deref(), Some("holidays"), "no note keeps the note");
    // To unpause what is not paused passes no slot over.
    schedule.state.running.clear();
    let step = schedule.go(vec![Input::Unpause { note: Some("back".to_owned()) }], 21 * MINUTE);
    assert_eq!((started(&step), step.note.as_deref()), (vec![21 * MINUTE], Some("back")));
}

#[test]
fn a_change_pays_what_the_old_spec_owes() {
    let mut schedule = schedule(every(MINUTE), Overlap::AllowAll);
    let step = schedule.change(Change { spec: Some(every(HOUR)), ..Change::default() }, 3 * HOUR - MINUTE);
    assert_eq!(started(&step), (1..180).map(|minute| minute * MINUTE).collect::<Vec<_>>());
    assert_eq!((step.next_at_ms, step.last_slot_ms), (Some(3 * HOUR), 3 * HOUR - MINUTE));
    // Slots of the new spec that are past do not start.
    let step = schedule.change(Change { spec: Some(every(2 * HOUR)), ..Change::default() }, 3 * HOUR - 1);
    assert_eq!((started(&step), step.next_at_ms), (vec![], Some(4 * HOUR)));
}

#[test]
fn a_change_far_behind_counts_what_it_passes_over() {
    let mut schedule = schedule(every(MINUTE), Overlap::AllowAll);
    let step = schedule.change(Change { spec: Some(every(HOUR)), ..Change::default() }, 2_500 * MINUTE);
    assert_eq!((step.starts.len(), step.state.counts.missed), (1_000, 1_500));
}

#[test]
fn a_change_starts_what_jitter_holds_back() {
    let mut schedule = schedule(Spec { jitter_ms: HOUR.unsigned_abs(), ..every(DAY) }, Overlap::Skip);
    let first = schedule.go(Vec::new(), DAY);
    let due = first.next_at_ms.expect("a time");
    assert!(first.starts.is_empty() && due > DAY, "the jitter of this slot is not 0");
    // A change of the policy alone leaves it alone.
    let change = Change {
        policy: Some(Policy { overlap: Overlap::AllowAll, ..Policy::default() }),
        ..Change::default()
    };
    assert_eq!(schedule.change(change, DAY + 1).next_at_ms, Some(due));
    let step = schedule.change(Change { spec: Some(every(HOUR)), ..Change::default() }, DAY + 2);
    assert_eq!((started(&step), step.next_at_ms), (vec![DAY], Some(DAY + HOUR)));
}

/// Rule 69: after a clock that was years ahead, the schedule would be silent for years.
#[test]
fn a_change_sets_a_slot_beyond_now_back() {
    let mut schedule = schedule(every(HOUR), Overlap::AllowAll);
    schedule.last_slot_ms = 365 * DAY;
    assert_eq!(schedule.go(Vec::new(), DAY).next_at_ms, Some(365 * DAY + HOUR));
    let step = schedule.change(Change::default(), DAY);
    assert_eq!((step.last_slot_ms, step.next_at_ms, step.starts.len()), (DAY, Some(DAY + HOUR), 0));
}

#[test]
fn a_change_to_a_bad_spec_is_refused_and_one_from_a_bad_spec_is_not() {
    let good = schedule(every(MINUTE), Overlap::AllowAll);
    let never = Change { spec: Some(cron("0 0 30 2 *", "UTC")), ..Change::default() };
    assert!(update(&good, never, HOUR).is_err());
    let bad = schedule(cron("later dialect", "UTC"), Overlap::AllowAll);
    assert!(step(&bad, Vec::new(), HOUR).is_err());
    let step =
        update(&bad, Change { spec: Some(every(MINUTE)), ..Change::default() }, HOUR).expect("a good spec");
    assert_eq!((step.starts.len(), step.next_at_ms), (0, Some(HOUR + MINUTE)));
}
