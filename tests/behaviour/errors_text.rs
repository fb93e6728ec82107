//! What `main` and `unwrap()` print of an error, and what is left of an activity's `Failure` behind `?`.

use super::support::Db;
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("the card is declined")]
struct Declined {
    limit: u32,
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("order {order} is not paid")]
struct Unpaid {
    order: u32,
    #[source]
    cause: Declined,
}

/// A failure with two causes, a typed error, and no retry.
#[activity]
async fn charge(order: u32) -> Result<(), Failure> {
    let unpaid = Unpaid { order, cause: Declined { limit: 50 } };
    Err(Failure::typed(&unpaid)?.non_retryable())
}

#[workflow]
async fn pays(order: u32) -> Result<(), Failure> {
    Ok(charge(order).await?)
}

/// The same by way of a compensation.
#[workflow]
async fn undoes(order: u32) -> Result<(), Failure> {
    let mut saga = workflow::saga();
    saga.on_failure(async move {
        charge(order).await?;
        Ok::<_, Failure>(())
    });
    saga.on_failure(charge(order));
    Err(Failure::new("out of stock"))
}

#[derive(Default)]
struct Shop;

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self) -> Result<(), Unpaid> {
        Err(Unpaid { order: 7, cause: Declined { limit: 50 } })
    }

    #[query]
    fn paid(&self) -> Result<bool, Unpaid> {
        Err(Unpaid { order: 8, cause: Declined { limit: 50 } })
    }
}

fn printed(error: impl Debug) -> String {
    format!("{error:?}")
}

#[tokio::test]
async fn an_activity_s_failure_arrives_as_it_was() {
    let db = Db::new().await;
    let worker = db.abide.worker("orders").workflow(pays).activity(charge).start().await.unwrap();
    let error = db.client().start(pays(7)).await.unwrap().result().await.unwrap_err();
    assert_eq!(printed(&error), "order 7 is not paid\n  caused by: the card is declined");
    let WorkflowError::Failed(failure) = error else { panic!("it failed") };
    assert_eq!(failure.chain().collect::<Vec<_>>(), ["the card is declined"]);
    assert!(!failure.is_retryable());
    let unpaid: Unpaid = failure.downcast().unwrap();
    assert_eq!((unpaid.order, unpaid.cause.limit), (7, 50));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_compensation_s_failure_arrives_as_it_was() {
    let db = Db::new().await;
    let worker = db.abide.worker("orders").workflow(undoes).activity(charge).start().await.unwrap();
    let error = db.client().start(undoes(7)).await.unwrap().result().await.unwrap_err();
    let told = "order 7 is not paid: the card is declined";
    let line = format!("\n  not compensated: {told}");
    assert_eq!(printed(&error), format!("out of stock (and 2 of its compensations failed){line}{line}"));
    for failure in error.compensation_failures() {
        assert_eq!(failure.to_string(), told);
        assert!(failure.data.is_some(), "the typed error is kept");
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn errors_print_their_text_and_their_causes() {
    let db = Db::new().await;
    let worker = db.abide.worker("orders").workflow(Shop::run).start().await.unwrap();
    let shop = db.client().start(Shop::run()).id("shop").await.unwrap();
    let of_query = printed(shop.paid().await.unwrap_err());
    assert_eq!(of_query, "order 8 is not paid\n  caused by: the card is declined");
    let of_workflow = printed(shop.result().await.unwrap_err());
    assert_eq!(of_workflow, "order 7 is not paid\n  caused by: the card is declined");

    let unknown = printed(db.client().execution("nobody").describe().await.unwrap_err());
    assert!(unknown.starts_with("AB0406: no execution with id `nobody`"), "{unknown}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_prints_its_code_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().display());
    let text = printed(abide::Abide::open(&url).await.unwrap_err());
    assert!(text.starts_with("AB05"), "{text}");
    assert!(!text.contains("Failure {") && !text.contains("Store("), "no fields: {text}");
}
