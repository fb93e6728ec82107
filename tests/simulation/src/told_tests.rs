//! The oracle detects what is wrong with messages between workflows, and with streams.

use crate::doctored::good;
use crate::evidence::Evidence;
use crate::model;
use crate::oracle::check;
use crate::oracle_tests::{after, told};
use crate::program::{Program, Step};
use crate::value::{Output, Value};
use abide::ExecutionStatus;
use abide::history::{Event, EventId};
use std::collections::BTreeMap;

fn event(json: &str) -> Event {
    serde_json::from_str(json).unwrap()
}

/// Event 3 of `w1` pokes this workflow.
fn sends(e: &mut Evidence, to: &str) {
    let json = r#"{"signal_sent": {"to": {"workflow": "TO"}, "name": "poke", "input": [7]}}"#;
    after(&mut e.runs[1], 0, event(&json.replace("TO", to)));
}

/// The poke of `w1` is answered.
fn answered(e: &mut Evidence, refused: Option<&str>) {
    let refused = refused.map(str::to_owned);
    e.runs[1].history[1].events.insert(0, Event::Answered { command: EventId(3), refused });
}

/// It comes to `w0`, in row `row`.
fn comes(e: &mut Evidence, row: usize, request: &str) {
    let json = r#"{"signaled": {"name": "poke", "input": [7], "request_id": "ID"}}"#;
    e.runs[0].history[row].events.push(event(&json.replace("ID", request)));
    e.runs[0].history[row + 1..].iter_mut().for_each(|row| row.seq = EventId(row.seq.0 + 1));
}

#[test]
fn pokes_of_workflows() {
    let mut evidence = good();
    sends(&mut evidence, "w9");
    answered(&mut evidence, Some("not running"));
    assert_eq!(check(&evidence), []);
    let mut evidence = good();
    sends(&mut evidence, "w9");
    assert_eq!(check(&evidence), []);
    told("lost message", "came in 0 times, and 1 senders", |e| {
        sends(e, "w0");
        answered(e, None);
    });
    told("told twice", "came in 1 times, of 0 that were told and 0", |e| {
        sends(e, "w0");
        answered(e, Some("not running"));
        comes(e, 5, "abide/1/3");
    });
    told("taken twice", "also by an earlier run", |e| {
        sends(e, "w0");
        comes(e, 4, "abide/1/3");
        comes(e, 5, "abide/1/3");
    });
    told("never sent", "under `abide/1/3`", |e| comes(e, 5, "abide/1/3"));
    told("refused itself", "it was open", |e| {
        sends(e, "w1");
        answered(e, Some("not running"));
    });
    told("answered twice", "command 3 waits for no answer", |e| {
        sends(e, "w9");
        answered(e, Some("not running"));
        answered(e, Some("not running"));
    });
}

#[test]
fn a_receiver_that_was_terminated_may_lose_pokes() {
    let mut evidence = good();
    sends(&mut evidence, "w2");
    answered(&mut evidence, None);
    evidence.runs[2].status = ExecutionStatus::Terminated;
    assert!(check(&evidence).iter().all(|violation| violation.rule != "lost message"));
}

#[test]
fn streams() {
    let publish = |e: &mut Evidence, items: &[(u64, u64)]| {
        after(&mut e.runs[1], 0, event(r#"{"published": {"stream": "heard"}}"#));
        let steps = &mut e.scenario.programs[1].steps;
        steps.extend([7, 8].map(|n| Step::Publish { n }));
        e.runs[1].published = Some(items.to_vec());
    };
    told("stream", "has published 1 items", |e| publish(e, &[]));
    told("stream", "has published 1 items", |e| publish(e, &[(1, 7), (2, 8)]));
    told("stream", "other numbers than 1 to 1", |e| publish(e, &[(2, 7)]));
    told("stream", "twice, or of nobody", |e| publish(e, &[(1, 9)]));
    let mut evidence = good();
    publish(&mut evidence, &[(1, 7)]);
    assert!(check(&evidence).iter().all(|violation| violation.rule != "stream"));
}

#[test]
fn what_a_poke_is_told_is_what_its_answer_says() {
    let step = Step::Tell { to: "w0".to_owned(), n: 7 };
    let program = Program { name: "p".to_owned(), steps: vec![step], revision: None, ..Program::default() };
    let fits = |value: Value, told: &[(u64, bool)]| {
        let output = Output { value: Value::Seq(vec![value]), pokes: Vec::new() };
        let told: BTreeMap<u64, bool> = told.iter().copied().collect();
        model::check(&program, &output, &model::Facts { told, ..model::Facts::default() }).is_empty()
    };
    assert!(fits(Value::Told(true), &[(7, true)]));
    assert!(fits(Value::Told(false), &[(7, false)]));
    assert!(!fits(Value::Told(true), &[(7, false)]));
    assert!(!fits(Value::Told(true), &[]));
    assert!(!fits(Value::Done, &[(7, true)]));
}
