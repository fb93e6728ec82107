//! Handlers obey their kind: what a query must not do is refused in its answer where rustc could not see it, and
//! leaves no trace in the execution.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

// The calls hide in plain functions: what stands in a query's own body does not compile.
fn draw() -> u64 {
    workflow::random()
}

fn call(n: u32) {
    drop(Steps::note(n));
}

#[derive(Default)]
struct Kinds {
    drawn: Vec<u64>,
    open: bool,
    task: Option<workflow::JoinHandle<u32>>,
}

#[workflow]
impl Kinds {
    #[run]
    async fn run(&mut self) -> Vec<u64> {
        self.drawn.push(workflow::random());
        self.task = Some(workflow::spawn(async {
            workflow::sleep(days(1)).await;
            1
        }));
        workflow::until!(self.open).await;
        self.drawn.push(workflow::random());
        self.drawn.clone()
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }

    #[query]
    fn does(&self, what: String) -> u64 {
        match what.as_str() {
            "draw" => return draw(),
            "call" => call(1),
            "spawn" => detach(),
            "uuid" => drop(uuid()),
            "abort" => self.task.iter().for_each(workflow::JoinHandle::abort),
            _ => {}
        }
        self.drawn.len() as u64
    }
}

fn detach() {
    drop(workflow::spawn(workflow::sleep(secs(1))));
}

fn uuid() -> String {
    workflow::uuid().to_string()
}

#[tokio::test]
async fn what_a_query_must_not_do_is_refused_in_its_answer() {
    let (db, log) = (Db::new().await, Log::default());
    let worker =
        |db: &Db| db.abide.worker("kinds").workflow(Kinds::run).activities(Steps(log.clone())).start();
    let first = worker(&db).await.unwrap();
    let run = db.client().start(Kinds::run()).id("kinds").await.unwrap();
    eventually("it waits", async || run.does("nothing".into()).await.unwrap() == 1).await;
    let history = run.history().await.unwrap().len();
    for what in ["draw", "call", "spawn", "uuid", "abort"] {
        let error = run.does(what.into()).await.unwrap_err();
        assert_eq!(error.code(), "AB0409", "{what}: {error}");
        assert!(error.to_string().contains("queries can only read the state"), "{what}: {error}");
    }
    let error = run.does("call".into()).await.unwrap_err().to_string();
    assert!(error.contains("called the activity `Steps.note`"), "{error}");
    assert_eq!(run.history().await.unwrap().len(), history, "a query makes no history");
    first.shutdown().await.unwrap();
    let second = worker(&db).await.unwrap();
    run.open().await.unwrap();
    let drawn = run.result().await.unwrap();
    assert_eq!(drawn.len(), 2, "a replay, where nobody asked, goes the same way");
    assert!(log.lines().is_empty());
    second.shutdown().await.unwrap();
}
