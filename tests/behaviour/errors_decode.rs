//! Payloads that are not what today's code says: at the start, in history, at an activity, at the client.

use super::ends::{Gate, events, reason, says};
use super::support::{Db, eventually};
use abide::prelude::*;

#[workflow(name = "typed")]
async fn by_text(text: String) -> String {
    text
}

#[workflow(name = "typed")]
async fn by_number(number: u32) -> u32 {
    number
}

#[activity(name = "shape")]
async fn shape_of_text() -> String {
    "round".to_owned()
}

#[activity(name = "shape")]
async fn shape_of_number() -> u32 {
    3
}

#[workflow(name = "shapes")]
async fn shapes_of_text() -> Result<String, Failure> {
    let shape = shape_of_text().await?;
    Gate::pass().await?;
    Ok(shape)
}

#[workflow(name = "shapes")]
async fn shapes_of_number() -> Result<String, Failure> {
    let shape = shape_of_number().await?;
    Gate::pass().await?;
    Ok(shape.to_string())
}

#[activity(name = "takes")]
async fn takes_text(text: String) -> String {
    text
}

#[activity(name = "takes")]
async fn takes_number(number: u32) -> String {
    number.to_string()
}

#[workflow]
async fn gives_text() -> Result<String, CallError> {
    takes_text("seven".to_owned()).await
}

#[tokio::test]
async fn at_the_start() {
    let db = Db::new().await;
    let other = db.abide.worker("decode").workflow(by_number).start().await.unwrap();
    let run = db.client().start(by_text("seven".to_owned())).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0203");
    says(told.message(), &["input", "u32"]);
    other.shutdown().await.unwrap();

    let right = db.abide.worker("decode").workflow(by_text).start().await.unwrap();
    run.resume().await.unwrap();
    eventually("its input is still there", async || run.result().await.is_ok_and(|text| text == "seven"))
        .await;
    right.shutdown().await.unwrap();
}

#[tokio::test]
async fn in_history() {
    let (db, gate) = (Db::new().await, Gate::closed());
    let old = db.abide.worker("decode").workflow(shapes_of_text).activity(shape_of_text);
    let old = old.activities(gate.clone()).shutdown_grace(secs(0)).start().await.unwrap();
    let run = db.client().start(shapes_of_text()).await.unwrap();
    Gate::reached(&run.untyped()).await;
    old.shutdown().await.unwrap();

    let new = db.abide.worker("decode").workflow(shapes_of_number).activity(shape_of_number);
    let new = new.activities(gate.clone()).start().await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0203");
    says(told.message(), &["`shape`", "u32", "errors_decode.rs"]);
    let known = events(&run.untyped()).await;
    new.shutdown().await.unwrap();

    let old = db.abide.worker("decode").workflow(shapes_of_text).activity(shape_of_text);
    let old = old.activities(gate.clone()).start().await.unwrap();
    gate.open();
    run.resume().await.unwrap();
    eventually("its history is still there", async || run.result().await.is_ok_and(|shape| shape == "round"))
        .await;
    assert!(events(&run.untyped()).await > known);
    old.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_an_activity() {
    let db = Db::new().await;
    let worker = db.abide.worker("decode").workflow(gives_text).activity(takes_number).start().await.unwrap();
    let run = db.client().start(gives_text()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else {
        panic!("the workflow sees the refusal")
    };
    says(&text, &["AB0604", "`takes`", "u32"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn at_the_client() {
    let db = Db::new().await;
    let worker = db.abide.worker("decode").workflow(by_text).start().await.unwrap();
    let run = db.client().start(by_text("seven".to_owned())).id("text").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "seven");
    let Err(WorkflowError::Client(error)) = db.client().handle::<by_number>("text").result().await else {
        panic!("a text is no number")
    };
    assert_eq!(error.code(), "AB0404");
    assert_eq!(run.result().await.unwrap(), "seven", "the execution is as it was");
    worker.shutdown().await.unwrap();
}
