//! A seed always gives the same scenario, and scenarios keep the generator's guarantees.

use crate::act::{Act, How, VISIT};
use crate::model::least;
use crate::more::FIRST;
use crate::program::{Program, Step};
use crate::scenario::{Ask, Scenario};
use std::collections::BTreeSet;

#[test]
fn a_seed_gives_the_same_scenario() {
    for seed in 0..200 {
        assert_eq!(Scenario::generate(seed), Scenario::generate(seed));
        assert_eq!(Scenario::generate(seed).to_string(), Scenario::generate(seed).to_string());
    }
    let different: BTreeSet<String> = (0..200).map(|seed| Scenario::generate(seed).to_string()).collect();
    assert!(different.len() > 190);
}

#[test]
fn programs_end_and_name_each_activity_once() {
    for seed in (0..1_500).chain(FIRST..FIRST + 1_500) {
        for program in Scenario::generate(seed).programs {
            let limited = program.terms.run.is_some() || program.terms.chain.is_some();
            assert!(limited || least(&program.steps).is_some(), "seed {seed}, {} never ends", program.name);
            let labels: Vec<u32> = acts(&program).map(|act| act.label).collect();
            let unique: BTreeSet<u32> = labels.iter().copied().collect();
            assert_eq!(unique.len(), labels.len(), "seed {seed}");
            assert!(!unique.contains(&VISIT), "seed {seed}");
        }
    }
}

/// An activity that its workflow abandons must end by itself.
#[test]
fn nothing_hangs_where_nobody_stops_it() {
    let abandoned = |act: &&Act| act.options.cancellation == crate::act::Cancellation::Abandon;
    for seed in 0..2_000 {
        for program in Scenario::generate(seed).programs {
            let hangs = acts(&program).filter(abandoned).any(Act::is_endless);
            assert!(!hangs, "seed {seed}");
        }
    }
}

#[test]
fn programs_are_stored_as_they_are() {
    for seed in (0..200).chain(FIRST..FIRST + 200) {
        for program in Scenario::generate(seed).programs {
            let stored = serde_json::to_string(&program).unwrap();
            assert_eq!(serde_json::from_str::<Program>(&stored).unwrap(), program);
        }
    }
}

#[test]
fn each_actor_starts_first_and_settles_last() {
    for seed in (0..500).chain(FIRST..FIRST + 500) {
        for actor in Scenario::generate(seed).actors {
            let first = &actor.lines.first().unwrap().ask;
            assert!(matches!(first, Ask::Start { .. } | Ask::StartWith { .. }), "seed {seed}");
            assert_eq!(actor.lines.last().unwrap().ask, Ask::Settle, "seed {seed}");
            assert!(actor.lines.is_sorted_by_key(|line| line.at), "seed {seed}");
        }
    }
}

/// A thousand seeds contain every kind of step.
#[test]
fn every_kind_of_step_comes_up() {
    let mut kinds = BTreeSet::new();
    for seed in 0..1_000 {
        for program in Scenario::generate(seed).programs {
            for step in program.all() {
                let text = format!("{step:?}");
                kinds.insert(text.split([' ', '(', '{']).next().unwrap_or_default().to_owned());
                kinds.extend(
                    step.acts().iter().flat_map(|act| &act.deeds).map(|deed| format!("{:?}", deed.how)),
                );
            }
        }
    }
    let steps =
        ["Act", "Sleep", "Timeout", "Until", "Join", "TryJoin", "Fan", "Select", "Spawn", "Draw", "Saga"];
    let more =
        ["Shield", "Cancelled", "Return", "Fail", "Tell", "Publish", "Child", "Retry", "Refuse", "Hang"];
    let missing: Vec<_> = steps.iter().chain(&more).filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(kinds.contains(&format!("{:?}", How::Return)));
}

#[test]
fn some_runs_go_on_as_others_and_some_scripts_have_updates() {
    let scenarios: Vec<Scenario> = (0..1_000).map(Scenario::generate).collect();
    let lives = scenarios.iter().flat_map(|scenario| &scenario.programs).filter(|p| !p.lives.is_empty());
    assert!(lives.count() > 50);
    let lines = scenarios.iter().flat_map(|scenario| &scenario.actors).flat_map(|actor| &actor.lines);
    assert!(lines.filter(|line| matches!(line.ask, Ask::Count { .. })).count() > 500);
}

#[test]
fn some_starts_bring_messages_and_some_programs_have_terms() {
    let scenarios: Vec<Scenario> = (FIRST..FIRST + 1_000).map(Scenario::generate).collect();
    let programs = || scenarios.iter().flat_map(|scenario| &scenario.programs);
    assert!(programs().filter(|program| program.terms.attempts > 0).count() > 100);
    assert!(programs().filter(|program| program.terms.run.is_some()).count() > 50);
    assert!(programs().filter(|program| program.terms.chain.is_some()).count() > 50);
    assert!(programs().filter(|program| program.has_items()).count() > 100);
    let lines = scenarios.iter().flat_map(|scenario| &scenario.actors).flat_map(|actor| &actor.lines);
    assert!(lines.filter(|line| matches!(line.ask, Ask::StartWith { .. })).count() > 500);
}

#[test]
fn times_are_scaled_and_nothing_else() {
    let (whole, fast) = (Scenario::generate(3), Scenario::generate(3).scale(10));
    let sleeps = |scenario: &Scenario| -> Vec<u64> {
        let steps = scenario.programs.iter().flat_map(Program::all);
        steps.filter_map(|step| if let Step::Sleep { ms } = step { Some(*ms) } else { None }).collect()
    };
    let expected: Vec<u64> = sleeps(&whole).into_iter().map(|ms| ms.div_ceil(10)).collect();
    assert_eq!(sleeps(&fast), expected);
    assert_eq!(Scenario::generate(3).scale(1), whole);
}

fn acts(program: &Program) -> impl Iterator<Item = &Act> {
    program.all().into_iter().flat_map(Step::acts)
}
