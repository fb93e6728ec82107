//! The order workflow alone. The providers are mocked. The time that desks, customers and vans take is the
//! test environment's, so that an order of days is over in milliseconds.

use super::*;
use crate::orders::{Address, Approval, Customer, Item};
use abide::testing::{ActivityDef, Mock, TestEnv, mock};
use abide::{Handle, Worker, WorkflowError};

/// An order for which the sales desk gives this answer. `None`: an order that needs no approval.
fn order(approval: Option<Approval>) -> Order {
    let orders = Order::load().unwrap();
    let plain = |order: &&Order| order.hold.is_none() && order.approval == approval;
    orders.iter().find(plain).unwrap().clone()
}

/// A worker whose providers succeed at everything except, depending on `labels`, at printing a label.
async fn desk(env: &TestEnv, labels: &Mock<impl ActivityDef>) -> (Worker, Mock<impl ActivityDef>) {
    let refunds = mock(Providers::refund, |_receipt: Receipt| Ok(()));
    let worker = env
        .worker("orders")
        .workflow(OrderWorkflow::run)
        .mock(&mock(Providers::reserve, |_order: String, _item: Item| Ok(())))
        .mock(&mock(Providers::release, |_order: String| Ok(())))
        .mock(&mock(Providers::charge, |order: String, _card: String, cents: i64| {
            Ok(Receipt { order, cents })
        }))
        .mock(&mock(Providers::pack, |_order: String, _pieces: u32| Ok(())))
        .mock(&mock(Providers::send_invoice, |_order: String, _to: Customer| Ok(())))
        .mock(&refunds)
        .mock(labels)
        .start()
        .await
        .unwrap();
    (worker, refunds)
}

async fn placed(env: &TestEnv, order: Order) -> Handle<OrderWorkflow> {
    env.client().start(OrderWorkflow::run(order)).await.unwrap()
}

#[tokio::test]
async fn an_order_is_approved_paid_and_shipped() {
    let env = TestEnv::start().await.unwrap();
    let printed = |_: String, _: String, _: Address| Ok("T-1".to_owned());
    // The printer is out of order for a while. The activity's own retry policy repeats the attempt.
    let labels = mock(Providers::print_label, printed).fail(3, Refusal::Transient("jammed".into()));
    let (worker, refunds) = desk(&env, &labels).await;

    let ordered = order(Some(Approval::Granted));
    let large = placed(&env, ordered.clone()).await;
    // Time passes only when nothing else can happen: after this sleep the order waits for the desk.
    env.sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(large.status().await.unwrap(), Status::AwaitingApproval);
    large.decide(true).await.unwrap();
    let shipment = large.result().await.unwrap();
    assert_eq!((shipment.tracking.as_str(), shipment.paid_cents), ("T-1", ordered.total_cents()));
    assert_eq!(large.status().await.unwrap(), Status::Shipped);
    labels.assert_called(4);
    refunds.assert_called(0);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn nobody_at_the_desk_is_no_approval() {
    let env = TestEnv::start().await.unwrap();
    let labels = mock(Providers::print_label, |_: String, _: String, _: Address| Ok(String::new()));
    let (worker, _) = desk(&env, &labels).await;
    let ended = placed(&env, order(Some(Approval::NeverAnswered))).await.result().await;
    assert!(matches!(ended, Err(WorkflowError::Failed(OrderFailed::Unanswered))), "{ended:?}");
    labels.assert_called(0);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_delivered_is_refunded() {
    let env = TestEnv::start().await.unwrap();
    let nowhere = |_: String, _: String, to: Address| Err(Refusal::Unserved(to.city));
    let labels = mock(Providers::print_label, nowhere);
    let (worker, refunds) = desk(&env, &labels).await;
    let ended = placed(&env, order(None)).await.result().await;
    assert!(matches!(ended, Err(WorkflowError::Failed(OrderFailed::Delivery(_)))), "{ended:?}");
    labels.assert_called(1);
    refunds.assert_called(1);
    worker.shutdown().await.unwrap();
}
