//! Values that cannot be kept, because they are too large or no JSON: refused at the call, no execution is harmed.

use super::ends::{refused, says};
use super::support::Db;
use abide::prelude::*;
use std::collections::BTreeMap;

/// More than the limit once it has its quotes.
fn too_large() -> String {
    "x".repeat(abide::MAX_PAYLOAD_BYTES)
}

/// The largest argument list of one text: two brackets, two quotes.
fn just_fits() -> String {
    "x".repeat(abide::MAX_PAYLOAD_BYTES - 4)
}

#[activity]
async fn measure(text: String) -> usize {
    text.len()
}

#[activity]
async fn blow_up(to: usize) -> String {
    "x".repeat(to)
}

/// Its data are as long as is asked; a text would be bounded.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Loud {
    data: String,
}

impl std::fmt::Display for Loud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("loud")
    }
}

impl std::error::Error for Loud {}

#[activity]
async fn fail_loudly(to: usize) -> Result<(), Loud> {
    Err(Loud { data: "x".repeat(to) })
}

#[derive(Default)]
struct Desk {
    letters: Vec<String>,
}

#[workflow]
impl Desk {
    #[run]
    async fn run(&mut self, first: String) -> usize {
        self.letters.push(first);
        workflow::until!(self.letters.len() > 1).await;
        self.letters.iter().map(String::len).sum()
    }

    #[signal]
    fn letter(&mut self, text: String) {
        self.letters.push(text);
    }

    #[query]
    fn copies(&self, times: usize) -> String {
        self.letters[0].repeat(times)
    }
}

#[workflow]
async fn measures(bytes: usize) -> Result<usize, CallError> {
    measure("x".repeat(bytes)).await
}

#[workflow]
async fn blows_up(bytes: usize) -> Result<usize, CallError> {
    Ok(blow_up(bytes).await?.len())
}

#[workflow]
async fn fails_loudly(bytes: usize) -> Result<(), ActivityError<Loud>> {
    fail_loudly(bytes).await
}

#[workflow]
async fn keyed_by_pairs(pairs: BTreeMap<(u32, u32), u32>) -> usize {
    pairs.len()
}

async fn worker(db: &Db) -> abide::Worker {
    let builder = db.abide.worker("payload").workflow(Desk::run).workflow(measures).workflow(blows_up);
    let builder = builder.workflow(fails_loudly).workflow(keyed_by_pairs);
    builder.activity(measure).activity(blow_up).activity(fail_loudly).start().await.unwrap()
}

#[tokio::test]
async fn at_a_start() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    assert_eq!(refused(db.client().start(Desk::run(too_large())).await), "AB0405");
    let pairs = BTreeMap::from([((1, 2), 3)]);
    assert_eq!(refused(db.client().start(keyed_by_pairs(pairs)).await), "AB0403");
    assert!(db.client().list(ListFilter::new()).await.unwrap().executions.is_empty(), "nothing was started");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_a_signal_and_a_query() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Desk::run(just_fits())).await.unwrap();
    assert_eq!(refused(run.letter(too_large()).await), "AB0405");
    assert_eq!(refused(run.copies(2).await), "AB0409", "the answer is over the limit");
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Running);
    run.letter("end".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), just_fits().len() + 3, "the refused letter is not in it");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_an_activitys_input() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let fits = db.client().start(measures(abide::MAX_PAYLOAD_BYTES - 4)).await.unwrap();
    assert_eq!(fits.result().await.unwrap(), abide::MAX_PAYLOAD_BYTES - 4);
    let run = db.client().start(measures(abide::MAX_PAYLOAD_BYTES)).await.unwrap();
    let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else {
        panic!("the call resolves to the refusal")
    };
    says(&text, &["AB0405", "2 MiB"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_an_activitys_result_and_error() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(blows_up(abide::MAX_PAYLOAD_BYTES)).await.unwrap();
    let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else {
        panic!("the call resolves to the refusal")
    };
    says(&text, &["AB0603", "`blow_up`", "2 MiB"]);
    let run = db.client().start(fails_loudly(abide::MAX_PAYLOAD_BYTES)).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Invalid(text))) = run.result().await else {
        panic!("the call resolves to the refusal")
    };
    says(&text, &["AB0603", "`fail_loudly`"]);
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn returns_too_much() -> String {
    too_large()
}

#[tokio::test]
async fn at_a_workflows_result() {
    let db = Db::new().await;
    let worker = db.abide.worker("payload").workflow(returns_too_much).start().await.unwrap();
    let run = db.client().start(returns_too_much()).await.unwrap();
    let error = run.result().await.unwrap_err();
    says(&error.to_string(), &["AB0405"]);
    worker.shutdown().await.unwrap();
}
