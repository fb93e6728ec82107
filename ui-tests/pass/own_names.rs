//! Types of the user's that are called like what the macros need: theirs stay theirs.
#![deny(warnings)]

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! own {
    ($($name:ident)*) => {
        $(#[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct $name(u32);)*
    };
}

own! { Order Time List Sorted Otherwise Is Seen Ordered Listed Timeless Site Slot This Sel Probe }

impl Order {
    fn time(&self) -> Time {
        Time(self.0)
    }

    fn order(&self) -> Order {
        self.clone()
    }
}

#[activity]
pub async fn ship(order: Order, list: Vec<List>) -> Result<Sorted, Failure> {
    Ok(Sorted(order.0 + list.len() as u32))
}

#[derive(Default)]
pub struct Shop {
    orders: BTreeMap<u32, Order>,
}

#[workflow]
impl Shop {
    #[run]
    pub async fn run(&mut self, order: Order, time: Time) -> Result<Sorted, Failure> {
        for (_, order) in &self.orders {
            let _: (Order, Time) = (order.order(), order.time());
        }
        let list = vec![List(time.0)];
        Ok(ship(order, list).await?)
    }

    #[signal]
    pub fn add(&mut self, order: Order) {
        self.orders.insert(order.0, order.order());
    }

    #[query]
    pub fn first(&self) -> Option<Order> {
        self.orders.values().next().cloned()
    }
}

#[workflow]
pub async fn all(seen: Seen, is: Is, ordered: Ordered, listed: Listed, timeless: Timeless) -> (Otherwise, Probe) {
    let sum = seen.0 + is.0 + ordered.0 + listed.0 + timeless.0;
    (Otherwise(sum), Probe(Site(1).0 + Slot(1).0 + This(1).0 + Sel(1).0))
}

fn main() {}
