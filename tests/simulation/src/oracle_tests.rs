//! The oracle detects each kind of violation: each test changes one detail of good evidence and names the
//! violated rule.

use crate::act::{Act, Role};
use crate::calls::{Answer, Asked, Call, End};
use crate::doctored::{call, completed, error, failed, flaky, good, output, payload, scheduled};
use crate::effects::What;
use crate::evidence::{Evidence, RunEvidence};
use crate::oracle::check;
use crate::program::Program;
use crate::scenario::{Conflict, Reuse};
use crate::value::{Progress, Value};
use abide::ExecutionStatus;
use abide::history::{Event, EventId, FailureKind, FailureRecord};
use std::collections::BTreeMap;

/// Asserts that the change is reported under this rule, with these words.
#[track_caller]
pub(crate) fn told(rule: &str, words: &str, spoil: impl FnOnce(&mut Evidence)) {
    let mut evidence = good();
    spoil(&mut evidence);
    let violations = check(&evidence);
    let found = violations.iter().any(|violation| violation.rule == rule && violation.text.contains(words));
    assert!(found, "not `{rule}` with `{words}`, but {violations:#?}");
}

/// An event by its number.
pub(crate) fn at(run: &mut RunEvidence, number: u64) -> &mut Event {
    run.history.iter_mut().flat_map(|row| &mut row.events).nth(number as usize - 1).unwrap()
}

/// Puts an event at the end of a row. The later rows move.
pub(crate) fn after(run: &mut RunEvidence, row: usize, event: Event) {
    run.history[row].events.push(event);
    run.history[row + 1..].iter_mut().for_each(|row| row.seq = EventId(row.seq.0 + 1));
}

fn close(run: &mut RunEvidence, status: ExecutionStatus, event: Event) {
    run.status = status;
    *run.history.last_mut().unwrap().events.last_mut().unwrap() = event;
}

fn starts(evidence: &Evidence) -> Call {
    evidence.calls[0].clone()
}

#[test]
fn good_evidence_is_good() {
    assert_eq!(check(&good()), []);
}

#[test]
fn histories_that_do_not_join_up() {
    told("gap", "begins with event 4, not 3", |e| e.runs[0].history[1].seq = EventId(4));
    told("gap", "is empty", |e| e.runs[0].history[1].events.clear());
    told("time", "went back", |e| e.runs[0].history[3].at_ms = 1);
    told("start", "event 1 is", |e| drop(e.runs[0].history[0].events.remove(0)));
    told("start", "event 3 is", |e| {
        let first = e.runs[1].history[0].events[0].clone();
        after(&mut e.runs[1], 0, first);
    });
    told("after the close", "event 4 of 5", |e| {
        e.runs[1].history[1].events.push(Event::TimerStarted { fire_at_ms: 1 });
    });
    told("status", "failed", |e| e.runs[1].status = ExecutionStatus::Failed);
}

#[test]
fn signals_that_came_before_the_first_turn() {
    let poke = |request: &str| Event::Signaled {
        name: "poke".to_owned(),
        input: payload(&(1_001,)),
        request_id: request.to_owned(),
        handled: true,
    };
    told("early", "took in 1 signals, and its start counts 0", |e| after(&mut e.runs[0], 0, poke("0/top-1")));
    told("early", "took in 0 signals, and its start counts 2", |e| {
        if let Event::Started { early, .. } = at(&mut e.runs[1], 1) {
            *early = 2;
        }
    });
    told("early", "1 signals came after a cancellation", |e| {
        let rows = &mut e.runs[2].history;
        let second = rows.remove(1);
        rows[0].events.extend(second.events);
        rows[0].events.insert(3, poke("0/top-1"));
    });
}

#[test]
fn runs_that_do_not_close() {
    told("stuck", "has not closed", |e| e.runs[1].status = ExecutionStatus::Running);
    told("suspended", "AB0201", |e| {
        e.runs[1].status = ExecutionStatus::Suspended;
        e.runs[1].suspension = Some("AB0201: it went another way".to_owned());
    });
}

#[test]
fn what_ends_twice() {
    told("ended twice", "activity 2 is not open", |e| after(&mut e.runs[0], 2, completed(2, 1)));
    told("ended twice", "was given up already", |e| {
        after(&mut e.runs[0], 2, Event::ActivityCancelRequested { activity: EventId(2) });
    });
    told("timers", "timer 2 is not open", |e| {
        after(&mut e.runs[1], 0, Event::TimerFired { timer: EventId(2) });
    });
    told("attempts", "event 4: a retry of activity 2", |e| {
        let failure = FailureRecord::new(FailureKind::Application, "refused");
        let event = Event::AttemptFailed { activity: EventId(2), attempt: 1, failure, next_at_ms: 3 };
        after(&mut e.runs[0], 1, event);
    });
    told("taken twice", "`0/poke-2`", |e| {
        let poke = at(&mut e.runs[0], 4).clone();
        after(&mut e.runs[0], 3, poke);
    });
    told("taken twice", "`2/cancel-2`", |e| {
        let cancel = at(&mut e.runs[2], 3).clone();
        after(&mut e.runs[2], 0, cancel);
    });
    told("unhandled", "event 4", |e| {
        if let Event::Signaled { handled, .. } = at(&mut e.runs[0], 4) {
            *handled = false;
        }
    });
}

#[test]
fn transactions_that_are_not_there_once() {
    let transactional = |e: &mut Evidence| {
        if let Event::ActivityScheduled { transactional, .. } = at(&mut e.runs[0], 2) {
            *transactional = true;
        }
        ("r0".to_owned(), 2)
    };
    let mut evidence = good();
    let key = transactional(&mut evidence);
    evidence.written.insert(key, 1);
    assert_eq!(check(&evidence), []);
    told("not once", "has written 0 times", |e| drop(transactional(e)));
    told("not once", "has written 2 times", |e| {
        let key = transactional(e);
        e.written.insert(key, 2);
    });
}

#[test]
fn what_ran_and_should_not_have() {
    told("never asked for", "no such run", |e| e.log[0].run_id = "r9".to_owned());
    told("never asked for", "not in the history", |e| {
        e.log[2].activity = 3;
        e.log[3].activity = 3;
    });
    told("began twice", "began 2 times", |e| e.log.insert(1, e.log[0].clone()));
    told("other input", "it ran", |e| e.log.iter_mut().for_each(|entry| entry.note = Some("x".to_owned())));
    told("attempts", "of 3", |e| e.log.iter_mut().for_each(|entry| entry.attempt += 3));
    told("not durable", "0 failed attempts were kept", |e| e.failures = Some(BTreeMap::new()));
    told("too late", "its end was in the history", |e| {
        e.looks[0].closed.clear();
        e.looks[0].log = 2;
    });
    told("too late", "the close of its run", |e| {
        e.looks[0].ended.clear();
        e.looks[0].log = 2;
    });
}

#[test]
fn outcomes_that_nobody_told() {
    told("made up", "completed by attempt 2", |e| drop(e.log.remove(3)));
    told("made up", "completed by attempt 1", |e| {
        *at(&mut e.runs[0], 6) = Event::ActivityCompleted { activity: EventId(5), result: payload(&5) };
        e.log[5].what = What::Return(5);
    });
    told("made up", "attempt 1 of activity 2 is recorded as failed", |e| e.log[1].what = What::Drop);
    told("made up", "activity 11 is recorded as failed", |e| {
        let failure = FailureRecord::new(FailureKind::Application, "refused");
        *at(&mut e.runs[0], 12) = Event::ActivityFailed { activity: EventId(11), failure };
    });
    // If the commits were not seen, the outcome may be of any attempt.
    told("made up", "completed by attempt one", |e| {
        (e.failures, e.log[3].what) = (None, What::Drop);
    });
    let mut evidence = good();
    evidence.failures = None;
    assert_eq!(check(&evidence), []);
}

#[test]
fn sagas_that_are_not_undone() {
    told("not undone", "[3] were registered", |e| {
        e.runs[0].history[5].events.pop();
        e.runs[0].history[6].events.remove(0);
    });
    told("order of undoing", "undoes by 3, where", |e| {
        let undo = |label| scheduled(&Act { role: Role::Undo { saga: 1 }, ..Act::new(label) });
        (*at(&mut e.runs[0], 9), *at(&mut e.runs[0], 11)) = (undo(3), undo(5));
    });
    told("order of undoing", "where None was next", |e| {
        let undo = scheduled(&Act { role: Role::Undo { saga: 1 }, ..Act::new(3) });
        after(&mut e.runs[0], 1, undo);
    });
    told("not undone", "1 failures are told", |e| {
        if let Event::Failed { compensation_failures, .. } = at(&mut e.runs[0], 13) {
            compensation_failures.push(FailureRecord::new(FailureKind::Application, "stuck"));
        }
    });
}

#[test]
fn acknowledgements_that_were_not_kept() {
    told("lost start", "run r7 is nowhere", |e| {
        let answer = Answer::Started { run_id: "r7".to_owned() };
        e.calls[0].answer = answer;
    });
    told("two runs", "was told r0 before", |e| {
        let again = Call { answer: Answer::Started { run_id: "r1".to_owned() }, ..starts(e) };
        e.calls.push(again);
    });
    told("two runs", "2 runs of 1 starts", |e| e.runs[1].workflow_id = "w0".to_owned());
    told("two runs", "2 runs are open", |e| {
        e.runs[1].workflow_id = "w0".to_owned();
        e.runs[0].status = ExecutionStatus::Running;
        e.runs[1].status = ExecutionStatus::Running;
    });
    told("lost message", "is in no history", |e| {
        e.calls.push(call(0, Asked::Poke { request: "0/poke-9".to_owned(), n: 1 }, Answer::Taken));
    });
    told("lost message", "is in no history", |e| {
        e.calls.push(call(0, Asked::Terminate { request: "0/terminate-9".to_owned() }, Answer::Taken));
    });
}

#[test]
fn refusals_without_a_reason() {
    let refused = |code: &str| Answer::Refused { code: code.to_owned(), text: String::new() };
    told("refused", "should not have been", |e| e.calls[4].answer = refused("AB0407"));
    told("refused", "should not have been", |e| e.calls[3].answer = refused("AB0406"));
    told("refused", "should not have been", |e| e.calls[0].answer = refused("AB0402"));
    told("refused", "should not have been", |e| {
        let request = "0/start-1".to_owned();
        let what = Asked::Start { request, reuse: Reuse::Allow, conflict: Conflict::UseExisting };
        e.calls[0] = call(0, what, refused("AB0401"));
    });
    told("refused", "all the same", |e| e.calls[3].answer = refused("AB0407"));
}

#[test]
fn answers_that_are_not_so() {
    let progress = |steps, pokes: &[u64]| Progress { steps, pokes: pokes.to_vec(), visits: Vec::new() };
    told("query", "no history", |e| e.calls[4].answer = Answer::Progress(progress(3, &[5])));
    told("query", "no history", |e| {
        e.calls[4].answer = Answer::Progress(Progress { visits: vec![1], ..progress(3, &[]) });
    });
    told("query", "went back", |e| {
        e.calls.push(call(0, Asked::Query, Answer::Progress(progress(2, &[1_001]))));
    });
    told("result", "no such end", |e| e.calls[7].answer = Answer::Ended(End::Terminated));
    told("result", "no such end", |e| {
        e.calls[6].answer = Answer::Ended(End::Failed { error: error(), compensations: 1 });
    });
    told("answer", "wrong kind", |e| e.calls[7].answer = Answer::Started { run_id: "r1".to_owned() });
    told("other message", "poke [1001]", |e| {
        e.calls[3].what = Asked::Visit { request: "0/poke-2".to_owned(), n: 1_001 }
    });
    told("never sent", "`0/poke-8`", |e| {
        if let Event::Signaled { request_id, .. } = at(&mut e.runs[0], 4) {
            *request_id = "0/poke-8".to_owned();
        }
    });
}

#[test]
fn outcomes_that_cannot_be() {
    told("other input", "started with", |e| {
        let other =
            Program { name: "other".to_owned(), steps: Vec::new(), revision: None, ..Program::default() };
        *at(&mut e.runs[1], 1) = Event::Started {
            input: payload(&(other,)),
            seed: 1,
            rules: 1,
            early: 0,
            context: Box::default(),
        };
    });
    told("outcome", "an error is told as a result", |e| {
        close(
            &mut e.runs[0],
            ExecutionStatus::Completed,
            Event::Completed { result: payload(&error().output) },
        );
    });
    told("outcome", "a result is told as an error", |e| {
        let error = crate::value::ScriptFailed { output: output() };
        close(&mut e.runs[1], ExecutionStatus::Failed, failed(&error));
    });
    told("outcome", "does not decode", |e| *at(&mut e.runs[1], 4) = Event::Completed { result: payload(&5) });
    told("outcome", "no error of its own", |e| {
        let failure = FailureRecord::new(FailureKind::WorkerLost, "the worker died");
        let event = Event::Failed { failure, compensation_failures: Vec::new(), next: None };
        close(&mut e.runs[0], ExecutionStatus::Failed, event);
    });
    told("outcome", "nobody asked for that", |e| drop(e.runs[2].history[1].events.remove(0)));
    told("outcome", "terminated by nobody", |e| {
        let event = Event::Terminated { reason: String::new() };
        close(&mut e.runs[1], ExecutionStatus::Terminated, event);
    });
    told("outcome", "it saw pokes [5]", |e| {
        let output = crate::value::Output { pokes: vec![5], ..output() };
        *at(&mut e.runs[1], 4) = Event::Completed { result: payload(&output) };
    });
    told("outcome", "at 0: ", |e| {
        let output = crate::value::Output { value: Value::Seq(vec![Value::Elapsed]), ..output() };
        *at(&mut e.runs[1], 4) = Event::Completed { result: payload(&output) };
    });
}

#[test]
fn cancelled_runs_that_go_on() {
    told("cancelled", "it went on", |e| {
        e.runs[2].history[1].events.insert(2, scheduled(&flaky()));
    });
    told("cancelled", "it completed", |e| {
        let output = crate::value::Output {
            value: Value::Seq(vec![Value::Done, Value::Number(Act::new(1).result())]),
            ..output()
        };
        let mut row = e.runs[2].history[1].clone();
        row.seq = EventId(5);
        row.events = vec![Event::Completed { result: payload(&output) }];
        e.runs[2].history[1].events.pop();
        e.runs[2].history.push(row);
        e.runs[2].status = ExecutionStatus::Completed;
    });
}
