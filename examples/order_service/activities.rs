//! The activities: all effects on the outside world. Each may run more than once (after a kill, a lost answer
//! or a time-out), so each passes its idempotency key to the provider.
//!
//! There are two kinds of failure. *Transient* ones (a gateway that does not answer) are retried without
//! limit. All others (a declined card) fail the call at once. So it does not matter how often the program is
//! killed: an order ends the same way.

use crate::ledger::{Entry, Kind, Ledger};
use crate::orders::{Address, Customer, Item};
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Proof of a payment. A refund needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub order: String,
    pub cents: i64,
}

/// Why a provider refused. One type for all three providers keeps the example short.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    #[error("card declined: {0}")]
    Declined(String),
    #[error("{0} is sold out")]
    SoldOut(String),
    #[error("no carrier goes to {0}")]
    Unserved(String),
    #[error("{0}")]
    Transient(String),
}

impl Refusal {
    /// Only transient failures are retried.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Transient(format!("ledger: {error}"))
    }
}

/// The three providers. They are registered as a value, so that activities can use its fields: a client, a
/// pool, a file.
pub struct Providers {
    pub ledger: Ledger,
}

#[activity(
    start_to_close = "30s",
    retry(initial_interval = "100ms", max_interval = "1s"),
    retry_if = Refusal::is_transient
)]
impl Providers {
    /// Warehouse: reserves one item.
    pub async fn reserve(&self, order: String, item: Item) -> Result<(), Refusal> {
        latency(90).await;
        if matches!(item.sku.as_str(), "LAMP-ARC" | "STOOL-OAK") {
            return Err(Refusal::SoldOut(item.name));
        }
        self.record(Kind::Reserve, order, 0).await
    }

    /// Warehouse: releases all items of an order. Harmless if nothing was reserved.
    pub async fn release(&self, order: String) -> Result<(), Refusal> {
        latency(40).await;
        self.record(Kind::Release, order, 0).await
    }

    /// Bank: takes the money. Only the card decides whether it declines.
    pub async fn charge(&self, order: String, card: String, cents: i64) -> Result<Receipt, Refusal> {
        latency(160).await;
        match card.as_str() {
            "4000000000000002" => return Err(Refusal::Declined("do not honour".into())),
            "4000000000009995" => return Err(Refusal::Declined("insufficient funds".into())),
            "4000000000000069" => return Err(Refusal::Declined("card expired".into())),
            _ => self.record(Kind::Charge, order.clone(), cents).await?,
        }
        // The worst network failure: the money is taken, and the answer is lost. The next attempt sends the
        // same key.
        if card == "4000000000000119" && activity::context().attempt() == 1 {
            return Err(Refusal::Transient("the gateway did not answer".into()));
        }
        Ok(Receipt { order, cents })
    }

    /// Bank: gives the money back.
    pub async fn refund(&self, receipt: Receipt) -> Result<(), Refusal> {
        latency(120).await;
        self.record(Kind::Refund, receipt.order, receipt.cents).await
    }

    /// Warehouse: packs the parcel.
    pub async fn pack(&self, order: String, pieces: u32) -> Result<(), Refusal> {
        latency(60 + 15 * u64::from(pieces.min(10))).await;
        self.record(Kind::Pack, order, 0).await
    }

    /// Carrier: prints the label and returns the tracking number.
    pub async fn print_label(&self, order: String, carrier: String, to: Address) -> Result<String, Refusal> {
        latency(110).await;
        if matches!(to.country.as_str(), "AQ" | "FO") {
            return Err(Refusal::Unserved(to.city));
        }
        let attempt = activity::context().attempt();
        if carrier == "Wobbly Parcels" && attempt <= 2 {
            return Err(Refusal::Transient(format!("{carrier} answered 503 to attempt {attempt}")));
        }
        let tracking = format!("{}-{}", carrier.replace(' ', "").to_uppercase(), order.to_uppercase());
        self.record(Kind::Label, order, 0).await?;
        Ok(tracking)
    }

    /// Post room: mails the invoice.
    pub async fn send_invoice(&self, order: String, to: Customer) -> Result<(), Refusal> {
        latency(20 + to.email.len() as u64).await;
        self.record(Kind::Invoice, order, 0).await
    }
}

impl Providers {
    async fn record(&self, kind: Kind, order: String, cents: i64) -> Result<(), Refusal> {
        let key = activity::context().idempotency_key().to_string();
        Ok(self.ledger.append(Entry { kind, key, order, cents }).await?)
    }
}

/// Simulates the network. Activities may use any async library: this is tokio's own sleep.
async fn latency(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
