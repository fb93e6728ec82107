//! The same slots start in any cutting of time; each once, none is missed, and runs under Skip never overlap.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

fn specs() -> impl Strategy<Value = Spec> {
    let crons = select(
        &["*/7 * * * *", "30 2 * * *", "0,1 * * * *", "0 */5 * * *", "0/40 */9 * * * *", "15 1 L * 0"][..],
    );
    let zones = select(&["UTC", "Europe/Berlin", "America/New_York"][..]);
    let intervals = (1..200i64, 0..50i64).prop_map(|(minutes, offset)| Interval {
        every_ms: (minutes * MINUTE).unsigned_abs(),
        offset_ms: (offset * SECOND).unsigned_abs(),
    });
    let jitter = prop_oneof![Just(0), 1..7_200_000u64];
    (proptest::collection::vec(crons, 0..3), proptest::option::of(intervals), zones, jitter, any::<bool>())
        .prop_map(|(crons, interval, zone, jitter_ms, excludes)| Spec {
            crons: crons.into_iter().map(str::to_owned).chain(["17 * * * *".to_owned()]).collect(),
            every: interval.into_iter().collect(),
            exclude: excludes.then(|| Calendar::default().minute(0..=59).hour(3..=4)).into_iter().collect(),
            zone: zone.to_owned(),
            jitter_ms,
            ..Spec::default()
        })
}

/// Steps until nothing is due at `now_ms`.
fn run(schedule: &mut Schedule, now_ms: i64, mut inputs: Vec<Input>) -> Vec<i64> {
    let mut slots = Vec::new();
    loop {
        let last_slot_ms = schedule.last_slot_ms;
        let step = schedule.go(std::mem::take(&mut inputs), now_ms);
        assert!(step.last_slot_ms >= last_slot_ms, "it only grows");
        slots.extend(started(&step));
        if step.next_at_ms.is_none_or(|next| next > now_ms) {
            return slots;
        }
    }
}

/// Around both changes of clocks in Berlin and New York in 2026, and anywhere.
fn begins() -> impl Strategy<Value = i64> {
    let changes =
        ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"];
    prop_oneof![
        (select(changes.map(at).to_vec()), 0..HOUR).prop_map(|(change, before)| change - before),
        at("2020-01-01T00:00:00Z")..at("2040-01-01T00:00:00Z"),
    ]
}

proptest! {
    #![proptest_config(crate::fuzz::cases(60))]

    #[test]
    fn any_cutting_starts_the_same_slots_once(
        spec in specs(),
        begin in begins(),
        length in HOUR..3 * DAY,
        cuts in proptest::collection::vec(0..3 * DAY, 0..60),
    ) {
        let end = begin + length;
        let new = || Schedule { last_slot_ms: begin, ..schedule(spec.clone(), Overlap::AllowAll) };
        let mut at_once = new();
        let all = run(&mut at_once, end, Vec::new());
        let unique: BTreeSet<i64> = all.iter().copied().collect();
        prop_assert_eq!(unique.len(), all.len(), "each once");
        // None in the window is missed: but for the last, which jitter may hold back.
        let mut expected = next_slots(&spec, begin, all.len() + 2).expect("a spec");
        expected.retain(|slot| *slot <= end);
        let held_back = expected.len() - all.len();
        prop_assert!(held_back <= usize::from(spec.jitter_ms > 0), "{} are held back", held_back);
        prop_assert_eq!(&expected[..all.len()], &all[..]);

        let mut cut = new();
        let mut times: Vec<i64> = cuts.into_iter().map(|cut| begin + cut % length).collect();
        times.sort_unstable();
        let mut slots: Vec<i64> = times.iter().flat_map(|time| run(&mut cut, *time, Vec::new())).collect();
        slots.extend(run(&mut cut, end, Vec::new()));
        prop_assert_eq!(&slots, &all);
        prop_assert_eq!(cut.last_slot_ms, at_once.last_slot_ms);
        prop_assert_eq!((cut.state.counts, cut.state.recent.len()), (at_once.state.counts, at_once.state.recent.len()));

        // Steps at the very times that steps ask for, with a clock that jumps back at times.
        let mut asked = new();
        let (mut slots, mut now) = (Vec::new(), begin);
        for turn in 0.. {
            let step = asked.go(Vec::new(), if turn % 3 == 2 { now - HOUR } else { now });
            slots.extend(started(&step));
            match step.next_at_ms {
                Some(next) if next <= end => now = now.max(next),
                _ => break,
            }
            prop_assert!(turn < 20_000, "it comes to an end");
        }
        prop_assert_eq!(&slots, &all);
    }

    #[test]
    fn runs_that_may_not_overlap_do_not(
        overlap in select(&[
            Overlap::Skip,
            Overlap::BufferOne,
            Overlap::BufferAll,
            Overlap::CancelOther,
            Overlap::TerminateOther,
        ][..]),
        spec in specs(),
        begin in begins(),
        turns in proptest::collection::vec((0..3 * HOUR, any::<bool>(), 0..20u8), 1..60),
    ) {
        let mut schedule = Schedule { last_slot_ms: begin, ..schedule(spec, overlap) };
        let mut open: Vec<(String, i64)> = Vec::new();
        let mut seen = BTreeSet::new();
        let (mut now, mut asks) = (begin, 0);
        for (after, ends, ask) in turns {
            now += after;
            let mut inputs = Vec::new();
            if ends && let Some((workflow_id, slot_ms)) = open.pop() {
                inputs.push(Input::Ended { workflow_id, slot_ms, end: RunEnd::Completed, message: None });
            }
            match ask {
                0 => inputs.push(Input::Pause { note: None }),
                1..4 => inputs.push(Input::Unpause { note: None }),
                4 => inputs.push(trigger(&format!("t-{asks}"), None)),
                5 => inputs.push(Input::Backfill {
                    request_id: format!("b-{asks}"),
                    from_ms: begin - DAY,
                    to_ms: begin,
                    overlap: None,
                }),
                _ => {}
            }
            asks += 1;
            loop {
                let step = schedule.go(std::mem::take(&mut inputs), now);
                for start in step.starts {
                    prop_assert!(seen.insert(start.workflow_id.clone()), "{} twice", start.workflow_id);
                    open.push((start.workflow_id, start.slot_ms));
                }
                prop_assert!(open.len() <= 1, "{:?}", open);
                prop_assert_eq!(schedule.state.running.len(), open.len());
                prop_assert!(schedule.state.buffered.is_empty() || !open.is_empty(), "a slot waits for no run");
                let stops = step.cancels.iter().chain(&step.terminates);
                for stopped in stops {
                    prop_assert_eq!(Some(stopped), open.first().map(|(id, _)| id));
                }
                if step.next_at_ms.is_none_or(|next| next > now) {
                    break;
                }
            }
        }
    }
}
