//! The orders in `orders.json`. An order itself contains everything that decides its outcome, so that the
//! outcome cannot depend on when, or how often, the program was stopped.

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    pub customer: Customer,
    pub address: Address,
    pub items: Vec<Item>,
    /// The card number. The payment provider declines some of them.
    pub card: String,
    pub carrier: String,
    /// The sales desk's answer, for orders that are large enough to need approval.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// For orders that the customer pays now and wants shipped later: how the hold ends.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// How long the parcel waits for the carrier's van.
    pub pickup_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Customer {
    pub name: String,
    pub email: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    pub street: String,
    pub postcode: String,
    pub city: String,
    /// The ISO 3166 code of the country.
    pub country: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub name: String,
    pub quantity: u32,
    pub unit_cents: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    Granted,
    Refused,
    /// The desk never answers. Only these approvals time out.
    NeverAnswered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The customer says "ship it now".
    Released,
    /// The customer changes their mind.
    Cancelled,
}

impl Order {
    /// Every order of the example.
    pub fn load() -> serde_json::Result<Vec<Self>> {
        serde_json::from_str(include_str!("orders.json"))
    }

    /// The price of the order.
    pub fn total_cents(&self) -> i64 {
        self.items.iter().map(|item| i64::from(item.quantity) * item.unit_cents).sum()
    }

    /// Orders over 500.00 need the sales desk's approval.
    pub fn needs_approval(&self) -> bool {
        self.total_cents() > 50_000
    }

    /// How long the desk may take. A shop would give each order the same few days. In this example only
    /// orders that never get an answer time out: even if the program is stopped for a week, the others must
    /// not lose their answer.
    pub fn answer_within(&self) -> Duration {
        match self.approval {
            Some(Approval::NeverAnswered) => Duration::from_millis(2_500),
            _ => days(365_000),
        }
    }

    pub fn pickup_in(&self) -> Duration {
        Duration::from_millis(self.pickup_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_are_what_the_example_says() {
        let orders = Order::load().unwrap();
        let ids: std::collections::BTreeSet<_> = orders.iter().map(|order| &order.id).collect();
        assert_eq!((orders.len(), ids.len()), (200, 200));
        for order in &orders {
            assert!(order.total_cents() > 0, "{}", order.id);
            assert_eq!(order.needs_approval(), order.approval.is_some(), "{}", order.id);
            // An order that waits for the desk and also for the customer could be cancelled before it is
            // paid.
            assert!(order.approval.is_none() || order.hold.is_none(), "{}", order.id);
        }
    }
}
