//! Values whose JSON does not read back as what they were (`NaN`, `Some(None)`, 128 bits in an untagged enum): refused
//! where they are written, by their path, before anything of them is in a history.

use super::ends::{reason, refused, says};
use super::support::{Db, Log};
use abide::prelude::*;
use abide::testing::replay::{History, Replayer};
use abide::testing::{TestEnv, mock};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    price: f64,
    note: Option<Option<u8>>,
}

fn quote(price: f64, note: Option<Option<u8>>) -> Quote {
    Quote { price, note }
}

fn nan() -> Quote {
    quote(f64::NAN, None)
}

fn nothing() -> Quote {
    quote(1.5, Some(None))
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("too expensive")]
pub struct TooMuch {
    limit: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    Wide(u128),
    Text(String),
}

pub struct Shop(Log);

#[activity]
impl Shop {
    async fn take(&self, quote: Quote) -> bool {
        self.0.add("take");
        quote.price > 1.0
    }

    async fn give(&self, which: String) -> Quote {
        self.0.add("give");
        if which == "nan" { nan() } else { nothing() }
    }

    async fn identify(&self, n: u64) -> Id {
        self.0.add("identify");
        Id::Wide(u128::from(n))
    }

    async fn refuse(&self) -> Result<(), TooMuch> {
        self.0.add("refuse");
        Err(TooMuch { limit: f64::INFINITY })
    }
}

#[workflow]
async fn takes(lost: bool) -> Result<bool, CallError> {
    Shop::take(if lost { nan() } else { quote(1.5, Some(Some(2))) }).await
}

#[workflow]
async fn gives(which: String) -> Result<Quote, CallError> {
    Shop::give(which).await
}

#[workflow]
async fn identifies() -> Result<Id, CallError> {
    Shop::identify(5).await
}

#[workflow]
async fn is_refused() -> Result<(), ActivityError<TooMuch>> {
    Shop::refuse().await
}

#[workflow]
async fn returns(which: String) -> Result<Quote, TooMuch> {
    match which.as_str() {
        "nan" => Ok(nan()),
        "nothing" => Ok(nothing()),
        _ => Err(TooMuch { limit: f64::NAN }),
    }
}

#[workflow]
async fn reads() -> Quote {
    workflow::side_effect(nan).await
}

/// A compensation whose input is lost is one that failed, and the ones before it run.
#[workflow]
async fn undoes() -> Result<(), Failure> {
    let mut saga = workflow::saga();
    saga.on_failure(Shop::take(quote(1.5, None)));
    saga.on_failure(Shop::take(nan()));
    Err(Failure::new("undo it"))
}

#[derive(Default)]
struct Desk {
    seen: u32,
    done: bool,
}

#[workflow]
impl Desk {
    #[run]
    async fn run(&mut self, first: Quote) -> u32 {
        self.seen += u32::from(first.note.is_some());
        workflow::until!(self.done).await;
        self.seen
    }

    #[signal]
    fn more(&mut self, quote: Quote) {
        self.seen += u32::from(quote.note.is_some());
        self.done = quote.price == 0.0;
    }

    #[query]
    fn best(&self, which: Option<Option<u8>>) -> Quote {
        quote(1.5, which)
    }

    #[query]
    fn lost(&self) -> Quote {
        nothing()
    }
}

async fn worker(db: &Db, log: &Log) -> abide::Worker {
    let builder = db.abide.worker("lost").workflow(takes).workflow(gives).workflow(identifies);
    let builder = builder.workflow(is_refused).workflow(returns).workflow(reads).workflow(undoes);
    builder.workflow(Desk::run).activities(Shop(log.clone())).start().await.unwrap()
}

#[tokio::test]
async fn at_a_start_a_signal_and_a_query() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let error = db.client().start(Desk::run(nan())).await.unwrap_err();
    says(&error.to_string(), &["AB0216", "`[0].price` is `NaN`"]);
    assert_eq!(refused(db.client().start(Desk::run(nothing())).await), "AB0217");
    assert!(db.client().list(ListFilter::new()).await.unwrap().executions.is_empty(), "nothing was started");

    let desk = db.client().start(Desk::run(quote(2.5, Some(Some(1))))).await.unwrap();
    assert_eq!(refused(desk.more(nan()).await), "AB0216");
    let error = desk.more(nothing()).await.unwrap_err();
    says(&error.to_string(), &["AB0217", "`[0].note` is a `Some`"]);
    assert_eq!(refused(desk.best(Some(None)).await), "AB0217", "an argument of a query");
    assert_eq!(desk.best(Some(Some(3))).await.unwrap(), quote(1.5, Some(Some(3))));
    let answer = desk.lost().await.unwrap_err();
    assert_eq!(answer.code(), "AB0409");
    says(&answer.to_string(), &["AB0217", "`note`"]);
    desk.more(quote(0.0, None)).await.unwrap();
    assert_eq!(desk.result().await.unwrap(), 1, "what was refused is not in it");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_an_activity() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let invalid = |ended: Result<(), WorkflowError<CallError>>| match ended {
        Err(WorkflowError::Failed(CallError::Invalid(text))) => text,
        other => panic!("the call resolves to the refusal, not to {other:?}"),
    };
    let run = db.client().start(takes(true)).await.unwrap();
    says(&invalid(run.result().await.map(drop)), &["AB0216", "`[0].price` is `NaN`"]);
    assert!(log.lines().is_empty(), "it was not called");
    assert!(db.client().start(takes(false)).await.unwrap().result().await.unwrap());

    let run = db.client().start(gives("nan".to_owned())).await.unwrap();
    says(&invalid(run.result().await.map(drop)), &["AB0603", "`Shop.give`", "AB0216", "`price` is `NaN`"]);
    let run = db.client().start(gives("nothing".to_owned())).await.unwrap();
    says(&invalid(run.result().await.map(drop)), &["AB0603", "AB0217", "`note` is a `Some`"]);
    let run = db.client().start(identifies()).await.unwrap();
    says(&invalid(run.result().await.map(drop)), &["AB0603", "AB0216", "128-bit"]);
    let run = db.client().start(is_refused()).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Invalid(text))) = run.result().await else {
        panic!("the call resolves to the refusal")
    };
    says(&text, &["AB0603", "the error of", "AB0216", "`limit` is infinite"]);
    assert_eq!(log.lines(), ["take", "give", "give", "identify", "refuse"], "none is tried again");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_the_end_of_a_workflow() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    for (which, code, path) in
        [("nan", "AB0216", "`price`"), ("nothing", "AB0217", "`note`"), ("", "AB0216", "`limit`")]
    {
        let run = db.client().start(returns(which.to_owned())).await.unwrap();
        let Err(WorkflowError::Client(error)) = run.result().await else { panic!("it is refused") };
        assert_eq!(error.code(), code);
        says(&error.to_string(), &[path]);
        assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Failed);
    }
    let run = db.client().start(undoes()).await.unwrap();
    let failures = run.result().await.unwrap_err().compensation_failures().to_vec();
    assert_eq!(failures.len(), 1);
    says(&failures[0].to_string(), &["AB0216", "`[0].price`"]);
    assert_eq!(log.lines(), ["take"], "the other one ran");
    worker.shutdown().await.unwrap();
}

/// A side effect can return no error: nothing is recorded, and a resume reads it again.
#[tokio::test]
async fn at_a_side_effect() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(reads()).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0216");
    says(told.message(), &["`price` is `NaN`", "values_that_are_lost.rs"]);
    assert_eq!(run.describe().await.unwrap().history_length, 1);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_a_mock_and_a_typed_failure() {
    let env = TestEnv::start().await.unwrap();
    let given = mock(Shop::give, |_: String| nan());
    let worker = env.worker("lost").workflow(gives).mock(&given).start().await.unwrap();
    let run = env.client().start(gives(String::new())).await.unwrap();
    let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else { panic!("refused") };
    says(&text, &["AB0603", "AB0216"]);
    given.assert_called(1);
    worker.shutdown().await.unwrap();
    assert_eq!(Failure::typed(&TooMuch { limit: f64::NAN }).unwrap_err().code(), "AB0216");
}

#[activity(name = "price")]
async fn price(quote: Quote) -> u32 {
    quote.price as u32
}

#[workflow(name = "old")]
async fn old(lost: bool) -> Result<Quote, CallError> {
    let first = if lost { nothing() } else { quote(1.5, None) };
    match price(first).await {
        Ok(_) => Ok(nothing()),
        Err(_) => price(quote(1.5, None)).await.map(|_| quote(0.0, None)),
    }
}

/// One run of `old`, recorded under these rules: what they absent stand for is an engine that did not ask.
fn recorded(rules: &str, end: &str) -> History {
    History::from_json(&format!(
        r#"{{
  "abide_history": 1, "workflow_type": "old", "workflow_id": "w", "run_id": "r", "task_queue": "q",
  "rows": [
    {{"seq": 1, "at_ms": 0, "events": [
      {{"started":{{"input":[true],"seed":7{rules}}}}},
      {{"activity_scheduled":{{"name":"price","input":[{{"price":1.5,"note":null}}]}}}}
    ]}},
    {{"seq": 3, "at_ms": 20, "events": [
      {{"activity_completed":{{"activity":2,"result":1}}}},
      {{"completed":{{"result":{end}}}}}
    ]}}
  ]
}}"#
    ))
    .unwrap()
}

/// What an older build took, its runs take on: the recorded input is that of the call which is refused today.
/// In a run of this build it is that of the call after it.
#[test]
fn a_recorded_history_replays_as_it_was_recorded() {
    let replayer = Replayer::new().workflow(old);
    replayer.replay(&recorded("", r#"{"price":1.5,"note":null}"#)).assert_ok();
    replayer.replay(&recorded(r#","rules":1"#, r#"{"price":0.0,"note":null}"#)).assert_ok();
}

#[activity(name = "count")]
async fn count(n: u128, signed: i128) -> u128 {
    n + signed.unsigned_abs()
}

#[workflow(name = "counts")]
async fn counts(n: u128) -> Result<u128, CallError> {
    count(n, -170_141_183_460_469_231_731_687_303_715_884_105_727).await
}

/// 10^30 and 10^30 + 1 are one number as a float of 64 bits.
#[test]
fn inputs_of_128_bits_are_compared_to_the_last_digit() {
    let (n, more) = ("1000000000000000000000000000000", "1000000000000000000000000000001");
    let signed = "-170141183460469231731687303715884105727";
    let history = |given: &str, called: &str, signed: &str| {
        let json = format!(
            r#"{{"abide_history": 1, "workflow_type": "counts", "workflow_id": "w", "run_id": "r", "task_queue": "q",
  "rows": [{{"seq": 1, "at_ms": 0, "events": [
      {{"started":{{"input":[{given}],"seed":7,"rules":1}}}},
      {{"activity_scheduled":{{"name":"count","input":[{called}, {signed}]}}}}
  ]}}]}}"#
        );
        History::from_json(&json).unwrap()
    };
    let replayer = Replayer::new().workflow(counts);
    replayer.replay(&history(n, n, signed)).assert_ok();
    let report = replayer.replay(&history(n, more, signed));
    assert!(!report.is_ok(), "{report}");
    says(&report.to_string(), &["AB0201", more]);
    let report = replayer.replay(&history(n, n, &signed.replace("727", "726")));
    assert!(!report.is_ok(), "{report}");
}
