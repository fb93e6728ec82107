//! Schedules, for the mutant whose test must be one of this crate. The tests of the rules are in `abide-core`.

use abide_core::schedule::{Interval, Overlap, Policy, Schedule, Spec, State, step};

/// Rule 69: a slot at or before `last_slot` never starts.
#[test]
fn a_slot_is_started_once() {
    crate::store::postgres::permutations::mutants::let_live_by_environment();
    let mut schedule = Schedule {
        id: "nightly".to_owned(),
        prefix: "nightly".to_owned(),
        spec: Spec { every: vec![Interval { every_ms: 60_000, offset_ms: 0 }], ..Spec::default() },
        policy: Policy { overlap: Overlap::AllowAll, ..Policy::default() },
        state: State::default(),
        last_slot_ms: 0,
        paused: false,
        note: None,
    };
    let mut slots = Vec::new();
    for now_ms in [60_000, 90_000, 180_000, 179_000] {
        let step = step(&schedule, Vec::new(), now_ms).expect("a spec that can be read");
        slots.extend(step.starts.iter().map(|start| start.slot_ms));
        (schedule.state, schedule.last_slot_ms) = (step.state, step.last_slot_ms);
    }
    assert_eq!(slots, [60_000, 120_000, 180_000]);
}
