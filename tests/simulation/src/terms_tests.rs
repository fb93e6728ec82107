//! The oracle detects what is wrong with attempts and time limits of workflows, with messages that came with a start,
//! and with what activities publish.

use crate::doctored::good;
use crate::evidence::{Evidence, Violation};
use crate::items::{self, Said, item};
use crate::limits::{self, Times};
use crate::scenario::{Ask, Brings};
use crate::terms::Terms;
use crate::withs;
use abide::history::{Event, EventId};
use std::collections::BTreeMap;

/// What a check says of the evidence after this change.
fn said_of(
    check: fn(&Evidence, &mut Vec<Violation>),
    change: impl FnOnce(&mut Evidence),
) -> Vec<&'static str> {
    let (mut evidence, mut all) = (good(), Vec::new());
    change(&mut evidence);
    check(&evidence, &mut all);
    all.into_iter().map(|violation| violation.rule).collect()
}

fn event(json: &str) -> Event {
    serde_json::from_str(json).unwrap()
}

fn terms(attempts: u32, run: Option<u64>) -> Terms {
    Terms { attempts, backoff: 1, run, chain: None }
}

#[test]
fn attempts_of_workflows() {
    let attempts = |n: u32| move |e: &mut Evidence| e.scenario.programs[0].terms = terms(n, None);
    let next = |e: &mut Evidence| {
        let last = e.runs[0].history.last_mut().unwrap().events.last_mut().unwrap();
        let Event::Failed { next, .. } = last else { panic!("{last:?}") };
        *next = Some(serde_json::from_str(r#"{"execution": 2, "run_id": "r1"}"#).unwrap());
        // The second attempt completes.
        e.runs[1].workflow_id = "w0".to_owned();
    };
    let second = |e: &mut Evidence| {
        let Event::Started { context, .. } = &mut e.runs[1].history[0].events[0] else { panic!() };
        context.failed_runs = 1;
    };
    assert_eq!(said_of(limits::check, |_| {}), [""; 0]);
    assert_eq!(said_of(limits::check, attempts(1)), [""; 0]);
    assert_eq!(said_of(limits::check, attempts(2)), ["retry"], "no attempt follows");
    let all = said_of(limits::check, |e| {
        attempts(2)(e);
        next(e);
        second(e);
    });
    assert_eq!(all, [""; 0]);
    let uncounted = said_of(limits::check, |e| {
        attempts(2)(e);
        next(e);
    });
    assert_eq!(uncounted, ["attempt"]);
    let too_many = said_of(limits::check, |e| {
        next(e);
        second(e);
    });
    assert_eq!(too_many, ["retry"]);
}

#[test]
fn time_limits_of_workflows() {
    let timed_out = |at_ms: i64, limit: Option<u64>| {
        move |e: &mut Evidence| {
            e.scenario.programs[1].terms = terms(0, limit);
            let last = e.runs[1].history.last_mut().unwrap();
            last.events = vec![event(r#"{"timed_out": {"kind": "run"}}"#)];
            e.times = Some(Times {
                created: BTreeMap::from([("r1".to_owned(), 100)]),
                timed_out: BTreeMap::from([("r1".to_owned(), at_ms)]),
            });
        }
    };
    assert_eq!(said_of(limits::check, timed_out(150, Some(50))), [""; 0]);
    assert_eq!(said_of(limits::check, timed_out(149, Some(50))), ["time limit"], "too early");
    assert_eq!(said_of(limits::check, timed_out(9_000, Some(50))), ["time limit"], "too late");
    assert_eq!(said_of(limits::check, timed_out(150, None)), ["time limit"], "it has none");
}

#[test]
fn messages_that_came_with_a_start() {
    let with = |e: &mut Evidence| {
        let request = "0/poke-2".to_owned();
        e.scenario.actors[0].lines[0].ask =
            Ask::StartWith { request: request.clone(), n: 1_001, brings: Brings::Poke, own: true };
        e.runs[0].request = Some(request);
        let poked = e.runs[0].history[2].events.first_mut().unwrap();
        let Event::Signaled { request_id, .. } = poked else { panic!("{poked:?}") };
        *request_id = "0/poke-2/own".to_owned();
    };
    let poke = |n: u64, id: &str| {
        event(&format!(r#"{{"signaled": {{"name": "poke", "input": [{n}], "request_id": "{id}"}}}}"#))
    };
    let once = |e: &mut Evidence, row: usize, event: Event| {
        with(e);
        e.runs[0].history[row].events.push(event);
    };
    assert_eq!(said_of(withs::check, with), [""; 0]);
    let twice = said_of(withs::check, |e| once(e, 4, poke(1_001, "0/poke-2/own")));
    assert_eq!(twice, ["start with"]);
    let behind = said_of(withs::check, |e| once(e, 1, poke(7, "another")));
    assert_eq!(behind, ["start with"]);
    let other = said_of(withs::check, |e| {
        with(e);
        e.runs[0].history[2].events[0] = poke(8, "0/poke-2/own");
    });
    assert_eq!(other, ["start with"]);
    let lost = said_of(withs::check, |e| {
        with(e);
        e.runs[0].history[2].events.remove(0);
    });
    assert_eq!(lost, ["start with"]);
}

#[test]
fn items_of_activities() {
    let said = |seq: u64, index: u64| Said { seq, attempt: Some(1), item: item(5, 1, index) };
    // Event 5 of `w0` is an activity that completes.
    let publishes = |said: Vec<Said>| {
        move |e: &mut Evidence| {
            for event in e.runs[0].history.iter_mut().flat_map(|row| &mut row.events) {
                if let Event::ActivityScheduled { input, .. } = event {
                    let (mut act,) = input.decode::<(crate::act::Act,)>().unwrap();
                    act.items = if act.label == 2 { 2 } else { 0 };
                    *input = crate::doctored::payload(&(act,));
                }
            }
            assert!(e.runs[0].ended().contains(&("r0".to_owned(), EventId(5).0)));
            e.runs[0].said = Some(said);
        }
    };
    assert_eq!(said_of(items::check, publishes(vec![said(1, 0), said(2, 1)])), [""; 0]);
    assert_eq!(said_of(items::check, publishes(vec![said(1, 0)])), ["items"], "one is missing");
    assert_eq!(said_of(items::check, publishes(vec![said(1, 0), said(3, 1)])), ["items"], "a gap");
    assert_eq!(said_of(items::check, publishes(vec![said(1, 1), said(2, 0)])), ["items", "items"], "order");
    let again = || vec![said(1, 0), said(2, 0), said(3, 1)];
    assert_eq!(
        said_of(items::check, publishes(again())),
        ["items"],
        "there twice, and no write was repeated"
    );
    let rough = said_of(items::check, |e| {
        publishes(again())(e);
        e.weather.losses = true;
    });
    assert_eq!(rough, [""; 0]);
}
