//! The oracle detects what is wrong with chains of runs, with children, and with updates.

use crate::act::Cancellation;
use crate::calls::{Answer, Asked, Call, End};
use crate::doctored::{call, good, output, payload};
use crate::evidence::{Evidence, Origin, RunEvidence};
use crate::oracle::check;
use crate::oracle_tests::{after, at, told};
use crate::program::{Child, Closes, Hold, Program, Step};
use crate::value::{Output, Seen, Value};
use abide::ExecutionStatus;
use abide::history::{Event, EventId};

fn event(json: &str) -> Event {
    serde_json::from_str(json).unwrap()
}

fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

/// The program of `w1` has another: `w1` goes on for one more run, which sleeps, too.
fn goes_on(e: &mut Evidence, pokes: Vec<u64>) {
    let mut program = e.scenario.programs[1].clone();
    program.lives = vec![vec![Step::Sleep { ms: 10 }]];
    e.scenario.programs[1] = program.clone();
    let next = program.next(pokes).unwrap();
    let mut second = e.runs[1].clone();
    if let Event::Started { input, .. } = at(&mut e.runs[1], 1) {
        *input = payload(&(&program,));
    }
    let json = r#"{"continued_as_new": {"next": {"execution": 9, "run_id": "r9"}, "input": [INPUT]}}"#;
    *at(&mut e.runs[1], 4) = event(&json.replace("INPUT", &text(&next)));
    e.runs[1].status = ExecutionStatus::ContinuedAsNew;
    if let Event::Started { input, .. } = at(&mut second, 1) {
        *input = payload(&(&next,));
    }
    second.run_id = "r9".to_owned();
    second.origin = Some(Origin { program: Some(next), is_child: false });
    e.runs.push(second);
}

fn signal(request: &str) -> Event {
    event(&r#"{"signaled": {"name": "poke", "input": [7], "request_id": "ID"}}"#.replace("ID", request))
}

#[test]
fn runs_that_go_on() {
    let mut evidence = good();
    goes_on(&mut evidence, Vec::new());
    assert_eq!(check(&evidence), []);
    told("chain", "and not with", |e| goes_on(e, vec![7]));
    told("chain", "is nowhere", |e| {
        goes_on(e, Vec::new());
        e.runs.pop();
    });
    told("other input", "started with", |e| {
        goes_on(e, Vec::new());
        e.runs[3].origin.as_mut().unwrap().program = None;
    });
    told("taken twice", "along its chain", |e| {
        goes_on(e, vec![7]);
        let poke = |e: &mut Evidence, run: usize| after(&mut e.runs[run], 0, signal("1/top-0"));
        poke(e, 1);
        poke(e, 3);
    });
    // What a run has left to the next one is that one's.
    let left = |e: &mut Evidence| {
        goes_on(e, Vec::new());
        let mut left = signal("1/top-0");
        if let Event::Signaled { handled, .. } = &mut left {
            *handled = false;
        }
        after(&mut e.runs[1], 0, left);
    };
    told("lost message", "was left to the next run", left);
    let mut evidence = good();
    left(&mut evidence);
    after(&mut evidence.runs[3], 0, signal("1/top-0"));
    let found = check(&evidence);
    assert!(found.iter().all(|found| !["unhandled", "taken twice"].contains(&found.rule)), "{found:?}");
    told("two runs", "2 runs of 1 starts", |e| {
        goes_on(e, Vec::new());
        e.runs[3].origin = None;
    });
}

#[test]
fn messages_of_a_run_in_another_order() {
    told("out of order", "after command 5", |e| {
        for command in [5, 4] {
            after(&mut e.runs[1], 0, signal(&format!("abide/1/{command}")));
        }
    });
}

/// `w1` awaits a child that does nothing, after its sleep; it is event 4 of the history.
fn with_child(e: &mut Evidence, end: &str, seen: Seen) {
    let inner = Program { name: "c1".to_owned(), ..Program::default() };
    let (close, cancellation) = (Closes::Terminate, Cancellation::Wait);
    let child = Child { program: inner.clone(), id: None, hold: Hold::Await, close, cancellation };
    e.scenario.programs[1].steps.push(Step::Child(Box::new(child)));
    let program = e.scenario.programs[1].clone();
    if let Event::Started { input, .. } = at(&mut e.runs[1], 1) {
        *input = payload(&(&program,));
    }
    let json = r#"{"child_scheduled": {"workflow_type": "Scripted", "workflow_id": "r1/4", "execution": 9,
        "run_id": "r9", "input": [INPUT]}}"#;
    let result = Output { value: Value::Seq(vec![Value::Done, Value::Child(seen)]), ..output() };
    e.calls[7].answer = Answer::Ended(End::Completed(result.clone()));
    let mut row = e.runs[1].history[1].clone();
    *e.runs[1].history[1].events.last_mut().unwrap() = event(&json.replace("INPUT", &text(&inner)));
    row.seq = EventId(5);
    row.events = vec![event(end), Event::Completed { result: payload(&result) }];
    e.runs[1].history.push(row);
    let mut run = e.runs[1].clone();
    (run.workflow_id, run.run_id) = ("r1/4".to_owned(), "r9".to_owned());
    run.origin = Some(Origin { program: Some(inner.clone()), is_child: true });
    run.history.truncate(1);
    if let Event::Started { input, .. } = at(&mut run, 1) {
        *input = payload(&(&inner,));
    }
    run.history[0].events[1] = Event::Completed { result: payload(&empty()) };
    e.runs.push(run);
}

fn empty() -> Output {
    Output { value: Value::Seq(Vec::new()), pokes: Vec::new() }
}

fn ended(output: &Output) -> String {
    r#"{"child_ended": {"child": 4, "end": {"completed": RESULT}}}"#.replace("RESULT", &text(output))
}

#[test]
fn children() {
    let seen = || Seen::Completed(Box::new(empty()));
    let mut evidence = good();
    with_child(&mut evidence, &ended(&empty()), seen());
    assert_eq!(check(&evidence), []);
    told("outcome", "cannot come of", |e| with_child(e, &ended(&empty()), Seen::Cancelled));
    told("child", "is told to have ended with", |e| with_child(e, &ended(&output()), seen()));
    told("child", "is nowhere", |e| {
        with_child(e, &ended(&empty()), seen());
        e.runs.pop();
    });
    told("child", "is in no step", |e| {
        with_child(e, &ended(&empty()), seen());
        if let Event::ChildScheduled { input, .. } = at(&mut e.runs[1], 4) {
            *input = payload(&(Program::default(),));
        }
    });
    told("child", "closed before the end of child 4", |e| {
        with_child(e, r#"{"child_cancel_requested": {"child": 4}}"#, seen());
    });
    told("ended twice", "child 4 is not open", |e| {
        with_child(e, &ended(&empty()), seen());
        let again = event(&ended(&empty()));
        e.runs[1].history[2].events.insert(0, again);
    });
}

/// `w1` accepts an update, and answers it.
fn accepts(run: &mut RunEvidence, name: &str, n: u64, value: u64) {
    let accepted = r#"{"update_accepted": {"update_id": "u1", "name": "NAME", "input": [N]}}"#;
    after(run, 0, event(&accepted.replace("NAME", name).replace('N', &n.to_string())));
    let completed = r#"{"update_completed": {"update": 3, "outcome": {"completed": VALUE}}}"#;
    after(run, 0, event(&completed.replace("VALUE", &value.to_string())));
}

fn asked(n: u64, answer: Answer) -> Call {
    call(1, Asked::Count { request: "u1".to_owned(), n, weighs: false }, answer)
}

#[test]
fn updates() {
    let with = |n: u64, value: u64, answer: Answer| {
        move |e: &mut Evidence| {
            accepts(&mut e.runs[1], "count", n, value);
            if let Event::Started { early, .. } = at(&mut e.runs[1], 1) {
                *early = 1;
            }
            e.calls.push(asked(n, answer));
        }
    };
    let refused = |code: &str| Answer::Refused { code: code.to_owned(), text: String::new() };
    let mut evidence = good();
    with(7, 1, Answer::Counted(1))(&mut evidence);
    assert_eq!(check(&evidence), []);
    told("update", "no history says so", with(7, 1, Answer::Counted(2)));
    told("update", "came to Some(2), not to 1", with(7, 2, Answer::Counted(2)));
    told("rejected", "the validator refuses 5", with(5, 1, Answer::Counted(1)));
    told("update", "no history says so", with(7, 1, Answer::Rejected));
    told("refused", "should not have been", with(7, 1, refused("AB0407")));
    told("refused", "should not have been", with(7, 1, refused("AB0420")));
    told("update", "has not ended", |e| {
        with(7, 1, Answer::Counted(1))(e);
        e.runs[1].history[0].events.pop();
    });
}
