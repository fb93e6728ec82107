//! The workflow of one order, from the shelf to the door.
//!
//! It reads like a plain async function, and survives a kill at any line: after a restart it continues at the
//! `.await` where it was. What may go wrong is written where it happens; the saga undoes what was done.

use crate::activities::{Providers, Receipt, Refusal};
use crate::orders::Order;
use abide::prelude::*;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of one order. Between two awaits `run` owns it; at an await, signals and queries see it.
#[derive(Default)]
pub struct OrderWorkflow {
    status: Status,
    granted: Option<bool>,
    released: bool,
}

/// The status of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Reserving,
    AwaitingApproval,
    Paying,
    OnHold,
    Packing,
    AwaitingPickup,
    Shipped,
}

/// What a completed order returns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shipment {
    pub tracking: String,
    pub paid_cents: i64,
}

/// Why an order was not shipped. The client receives this type.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum OrderFailed {
    #[error("not in stock: {0}")]
    Stock(ActivityError<Refusal>),
    #[error("the sales desk refused")]
    Refused,
    #[error("the sales desk did not answer in time")]
    Unanswered,
    #[error("not paid: {0}")]
    Payment(ActivityError<Refusal>),
    #[error("not delivered, and refunded: {0}")]
    Delivery(ActivityError<Refusal>),
}

#[workflow]
impl OrderWorkflow {
    #[run]
    pub async fn run(&mut self, order: Order) -> Result<Shipment, OrderFailed> {
        // The registered activities run in reverse order if this function returns an error or is cancelled.
        let mut saga = workflow::saga();

        // Registered *before* the call: releasing items that were not reserved is harmless, and if three
        // reservations run in parallel and one fails, the other two may have succeeded.
        saga.on_failure(Providers::release(order.id.clone()));
        let items = order.items.iter().map(|item| Providers::reserve(order.id.clone(), item.clone()));
        try_join_all(items).await.map_err(OrderFailed::Stock)?;

        if order.needs_approval() {
            self.ask_the_desk(&order).await?;
        }

        // A refund is not harmless if there was no charge. So a cancellation that comes now waits until we
        // know whether the charge succeeded, and until its refund is registered.
        self.status = Status::Paying;
        let receipt = workflow::shielded(async {
            let receipt =
                Providers::charge(order.id.clone(), order.card.clone(), order.total_cents()).await?;
            saga.on_failure(Providers::refund(receipt.clone()));
            Ok::<Receipt, ActivityError<Refusal>>(receipt)
        });
        let receipt = receipt.await.map_err(OrderFailed::Payment)?;

        if order.hold.is_some() {
            self.status = Status::OnHold;
            workflow::until!(self.released).await;
        }

        self.status = Status::Packing;
        let pieces = order.items.iter().map(|item| item.quantity).sum();
        let label = Providers::print_label(order.id.clone(), order.carrier.clone(), order.address.clone());
        let ((), tracking) = workflow::try_join!(Providers::pack(order.id.clone(), pieces), label)
            .map_err(OrderFailed::Delivery)?;

        // A durable timer: it continues while the program is not running.
        self.status = Status::AwaitingPickup;
        workflow::sleep(order.pickup_in()).await;

        let invoice = Providers::send_invoice(order.id.clone(), order.customer.clone());
        invoice.await.map_err(OrderFailed::Delivery)?;
        self.status = Status::Shipped;
        Ok(Shipment { tracking, paid_cents: receipt.cents })
    }

    async fn ask_the_desk(&mut self, order: &Order) -> Result<(), OrderFailed> {
        self.status = Status::AwaitingApproval;
        let answer = workflow::until!(self.granted.is_some()).timeout(order.answer_within()).await;
        match (answer, self.granted) {
            (Ok(()), Some(true)) => Ok(()),
            (Ok(()), _) => Err(OrderFailed::Refused),
            (Err(_elapsed), _) => Err(OrderFailed::Unanswered),
        }
    }

    /// The sales desk's answer.
    #[signal]
    pub fn decide(&mut self, granted: bool) {
        // The first answer counts. If the desk repeats it after a restart, nothing changes.
        self.granted.get_or_insert(granted);
    }

    /// The customer wants an order on hold to be shipped.
    #[signal]
    pub fn release(&mut self) {
        self.released = true;
    }

    #[query]
    pub fn status(&self) -> Status {
        self.status
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserving => "reserving",
            Self::AwaitingApproval => "at the desk",
            Self::Paying => "paying",
            Self::OnHold => "on hold",
            Self::Packing => "packing",
            Self::AwaitingPickup => "to be picked up",
            Self::Shipped => "shipped",
        })
    }
}

#[cfg(test)]
#[path = "workflow_tests.rs"]
mod tests;
