//! `tracing` in workflow code, as one writes it.
#![deny(warnings)]

use abide::prelude::*;
use tracing::{Instrument as _, debug, info, info_span};

#[derive(Debug, Default)]
struct Order {
    items: Vec<String>,
    paid: Option<u32>,
}

#[activity]
#[tracing::instrument]
async fn charge(cents: u32) -> u32 {
    cents
}

#[workflow::helper]
async fn pay(cents: u32) -> Result<u32, CallError> {
    charge(cents).instrument(info_span!("charge", cents)).await
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, id: u32) -> Result<u32, Failure> {
        let span = info_span!("order", id, paid = tracing::field::Empty);
        let _held = span.clone().entered();
        info!(target: "orders", items = self.items.len(), first = ?self.items.first(), "{id} at {}", workflow::now());
        debug!(parent: &span, total = self.items.iter().map(|item| item.len()).sum::<usize>());
        debug_assert!(self.items.iter().all(|item| !item.is_empty()), "{:?}", self.items);
        let paid = pay(id).instrument(span.clone()).await?;
        span.record("paid", paid);
        let both = workflow::join!(
            pay(1).instrument(span.clone()),
            async { workflow::sleep(secs(1)).await }.instrument(info_span!(parent: &span, "wait"))
        );
        let all = futures::future::join_all((0..2).map(|n| pay(n).in_current_span())).instrument(span).await;
        self.paid = Some(paid + both.0? + all.into_iter().sum::<Result<u32, _>>()?);
        tracing::event!(tracing::Level::INFO, { paid = self.paid }, "done");
        Ok(paid)
    }

    #[query]
    #[tracing::instrument(skip_all)]
    fn paid(&self) -> Option<u32> {
        self.paid
    }

    #[signal]
    #[tracing::instrument]
    fn add(&mut self, item: String) {
        self.items.push(item);
    }
}

fn main() {
    let _ = Order::run;
}
