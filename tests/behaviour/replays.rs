//! Before a deploy: today's code is replayed on a history of yesterday, and a report says what differs, where
//! in the code, and why (`abide::testing::replay`). Each case is one change somebody makes, and the snapshot
//! is what they read.

use super::support::Db;
use abide::prelude::*;
use abide::testing::replay::{History, Replayer, Report};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Serialize, Deserialize)]
pub struct Payment {
    pub order: String,
    pub cents: u64,
}

#[activity]
pub async fn reserve(order: String) -> Result<u32, Failure> {
    Ok(u32::try_from(order.len())?)
}

#[activity]
pub async fn charge(payment: Payment) -> Result<String, Failure> {
    Ok(format!("receipt of {}", payment.order))
}

#[activity]
pub async fn review(payment: Payment) -> Result<bool, Failure> {
    Ok(payment.cents < 5_000)
}

#[activity]
pub async fn ship(order: String) -> Result<(), Failure> {
    drop(order);
    Ok(())
}

/// The code of yesterday. What follows it are its changes, each a workflow of the same name.
#[workflow(name = "order")]
pub async fn order(payment: Payment) -> Result<String, Failure> {
    if payment.cents >= 1_000 {
        review(payment.clone()).await?;
    }
    reserve(payment.order.clone()).await?;
    let receipt = charge(payment.clone()).await?;
    workflow::sleep(Duration::from_millis(5)).await;
    ship(payment.order).await?;
    Ok(receipt)
}

#[activity]
async fn charge_card(payment: Payment) -> Result<String, Failure> {
    Ok(format!("receipt of {}", payment.order))
}

#[workflow(name = "order")]
async fn renamed(payment: Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    let receipt = charge_card(payment.clone()).await?;
    workflow::sleep(Duration::from_millis(5)).await;
    ship(payment.order).await?;
    Ok(receipt)
}

#[workflow(name = "order")]
async fn other_input(payment: Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    let with_fee = Payment { cents: payment.cents + 30, ..payment };
    Ok(charge(with_fee).await?)
}

#[workflow(name = "order")]
async fn reordered(payment: Payment) -> Result<String, Failure> {
    let receipt = charge(payment.clone()).await?;
    reserve(payment.order.clone()).await?;
    workflow::sleep(Duration::from_millis(5)).await;
    ship(payment.order).await?;
    Ok(receipt)
}

#[workflow(name = "order")]
async fn removed(payment: Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    let receipt = charge(payment.clone()).await?;
    ship(payment.order).await?;
    Ok(receipt)
}

#[workflow(name = "order")]
async fn added(payment: Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    workflow::sleep(mins(1)).await;
    let receipt = charge(payment.clone()).await?;
    ship(payment.order).await?;
    Ok(receipt)
}

#[workflow(name = "order")]
async fn other_branch(payment: Payment) -> Result<String, Failure> {
    if payment.cents >= 900 {
        review(payment.clone()).await?;
    }
    reserve(payment.order.clone()).await?;
    Ok(charge(payment).await?)
}

#[workflow(name = "order")]
async fn other_result(payment: Payment) -> Result<String, Failure> {
    order_steps(&payment).await?;
    Ok(format!("paid: {}", payment.order))
}

#[workflow(name = "order")]
async fn fails_at_its_end(payment: Payment) -> Result<String, Failure> {
    order_steps(&payment).await?;
    Err(Failure::new("no receipt was kept"))
}

#[workflow(name = "order")]
async fn panics(payment: Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    let words: Vec<&str> = payment.order.split(' ').collect();
    Ok(words[1].to_owned())
}

#[workflow(name = "order")]
async fn takes_numbers(order: u32, cents: u64) -> u64 {
    u64::from(order) + cents
}

#[workflow(name = "order")]
async fn ends_early(payment: Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    Ok(payment.order)
}

#[workflow(name = "order")]
async fn goes_on(payment: Payment) -> Result<String, Failure> {
    let receipt = order_steps(&payment).await?;
    ship(format!("the invoice of {}", payment.order)).await?;
    Ok(receipt)
}

#[derive(Default)]
struct Waits {
    paid: bool,
}

#[workflow(name = "order")]
impl Waits {
    #[run]
    async fn run(&mut self, payment: Payment) -> Result<String, Failure> {
        reserve(payment.order.clone()).await?;
        workflow::until!(self.paid).await;
        Ok(payment.order)
    }
}

#[workflow(name = "order")]
async fn awaits_a_channel(payment: Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    workflow::assume_deterministic("it is not: this test wants to see it told", std::future::pending()).await
}

#[activity(name = "reserve")]
async fn reserve_by_name(order: String) -> Result<String, Failure> {
    Ok(order)
}

#[workflow(name = "order")]
async fn other_type(payment: Payment) -> Result<String, Failure> {
    Ok(reserve_by_name(payment.order).await?)
}

#[workflow::helper]
async fn order_steps(payment: &Payment) -> Result<String, Failure> {
    reserve(payment.order.clone()).await?;
    let receipt = charge(payment.clone()).await?;
    workflow::sleep(Duration::from_millis(5)).await;
    ship(payment.order.clone()).await?;
    Ok(receipt)
}

/// Runs the code of yesterday to its end, and takes its history out of the database.
async fn yesterday() -> History {
    let db = Db::new().await;
    let worker = db.abide.worker("orders").workflow(order);
    let worker = worker.activity(reserve).activity(charge).activity(review).activity(ship).start();
    let worker = worker.await.unwrap();
    let payment = Payment { order: "A-1".to_owned(), cents: 990 };
    let run = db.client().start(order(payment)).id("order-42").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "receipt of A-1");
    worker.shutdown().await.unwrap();
    History::of(&run).await.unwrap()
}

/// Compares what people read with the snapshot of the test's name. Run ids are never the same.
#[track_caller]
pub fn reads(text: &str, history: &History) {
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().rsplit("::").next().unwrap_or_default().to_owned();
    insta::with_settings!({ prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("replay_{test}"), text.replace(history.run_id(), "RUN"));
    });
}

/// A report of this code, with its snapshot.
#[track_caller]
fn fails(replayer: &Replayer, history: &History, code: &str, matched: u64) {
    let report: Report = replayer.replay(history);
    assert_eq!((report.code(), report.matched()), (Some(code), matched), "{report}");
    reads(&report.to_string(), history);
}

#[tokio::test]
async fn the_same_code() {
    let history = yesterday().await;
    let report = Replayer::new().workflow(order).replay(&history);
    report.assert_ok();
    assert_eq!((report.code(), report.matched(), report.events()), (None, 10, 10));
    reads(&report.to_string(), &history);
}

#[tokio::test]
async fn a_renamed_activity() {
    fails(&Replayer::new().workflow(renamed), &yesterday().await, "AB0201", 3);
}

#[tokio::test]
async fn another_input() {
    fails(&Replayer::new().workflow(other_input), &yesterday().await, "AB0201", 3);
}

#[tokio::test]
async fn steps_in_another_order() {
    fails(&Replayer::new().workflow(reordered), &yesterday().await, "AB0201", 1);
}

#[tokio::test]
async fn a_removed_step() {
    fails(&Replayer::new().workflow(removed), &yesterday().await, "AB0201", 5);
}

#[tokio::test]
async fn an_added_step() {
    fails(&Replayer::new().workflow(added), &yesterday().await, "AB0201", 3);
}

#[tokio::test]
async fn a_branch_that_goes_another_way() {
    fails(&Replayer::new().workflow(other_branch), &yesterday().await, "AB0201", 1);
}

#[tokio::test]
async fn another_result() {
    fails(&Replayer::new().workflow(other_result), &yesterday().await, "AB0201", 9);
}

#[tokio::test]
async fn another_kind_of_end() {
    fails(&Replayer::new().workflow(fails_at_its_end), &yesterday().await, "AB0201", 9);
}

#[tokio::test]
async fn a_panic() {
    fails(&Replayer::new().workflow(panics), &yesterday().await, "AB0202", 3);
}

#[tokio::test]
async fn arguments_of_another_type() {
    fails(&Replayer::new().workflow(takes_numbers), &yesterday().await, "AB0203", 0);
}

#[tokio::test]
async fn a_result_of_another_type() {
    fails(&Replayer::new().workflow(other_type), &yesterday().await, "AB0203", 2);
}

#[tokio::test]
async fn an_end_where_the_run_went_on() {
    fails(&Replayer::new().workflow(ends_early), &yesterday().await, "AB0201", 3);
}

#[tokio::test]
async fn a_step_where_the_run_ended() {
    fails(&Replayer::new().workflow(goes_on), &yesterday().await, "AB0201", 9);
}

#[tokio::test]
async fn nothing_where_a_step_was() {
    fails(&Replayer::new().workflow(Waits::run), &yesterday().await, "AB0201", 3);
}

#[tokio::test]
async fn a_foreign_await() {
    fails(&Replayer::new().workflow(awaits_a_channel), &yesterday().await, "AB0204", 3);
}

#[tokio::test]
async fn a_type_that_was_not_given() {
    let history = yesterday().await;
    fails(&Replayer::new().workflow(super::replays_database::Approval::run), &history, "AB0206", 0);
}

/// What history keeps of it has the text of its cause; read back, it has lost that cause.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("order `{order}` has no number")]
struct NoNumber {
    order: String,
    #[serde(skip)]
    #[source]
    cause: Option<std::num::ParseIntError>,
}

#[derive(Serialize, Deserialize)]
struct Receipt {
    number: u32,
}

#[workflow(name = "receipt")]
async fn receipt(order: String) -> Result<Receipt, NoNumber> {
    if order.is_empty() {
        workflow::sleep(days(1)).await;
    }
    let number = order.parse().map_err(|cause| NoNumber { order, cause: Some(cause) })?;
    Ok(Receipt { number })
}

#[derive(Serialize, Deserialize)]
struct ReceiptWithNote {
    #[serde(default)]
    note: Option<String>,
    number: u32,
}

#[workflow(name = "receipt")]
async fn receipt_with_note(order: String) -> Result<ReceiptWithNote, NoNumber> {
    if order.is_empty() {
        workflow::sleep(days(1)).await;
    }
    let number = order.parse().map_err(|cause| NoNumber { order, cause: Some(cause) })?;
    Ok(ReceiptWithNote { note: None, number })
}

#[tokio::test]
async fn each_kind_of_end_is_repeated_and_an_added_optional_field_is_no_other_end() {
    let db = Db::new().await;
    let worker = db.abide.worker("orders").workflow(receipt).start().await.unwrap();
    for (order, end) in [("7", "completed"), ("seven", "failed"), ("", "cancelled")] {
        let run = db.client().start(receipt(order.to_owned())).await.unwrap();
        if order.is_empty() {
            run.cancel("not needed").await.unwrap();
        }
        assert_eq!(run.result().await.is_ok(), end == "completed");
        let history = History::of(&run).await.unwrap();
        assert_eq!(run.describe().await.unwrap().status.to_string(), end);
        Replayer::new().workflow(receipt).replay(&history).assert_ok();
        Replayer::new().workflow(receipt_with_note).replay(&history).assert_ok();
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_failing_report_fails_a_test() {
    let report = Replayer::new().workflow(removed).replay(&yesterday().await);
    let panic = std::panic::catch_unwind(|| report.assert_ok()).unwrap_err();
    assert_eq!(*panic.downcast::<String>().unwrap(), report.to_string());
}
