//! States that are made from the input.

use abide::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Item(u32);

type Items = Vec<Item>;

struct Order {
    items: Items,
    rush: bool,
}

#[workflow]
impl Order {
    /// Documented, private, with patterns, an alias, a helper and attributes of rustc's.
    #[init]
    #[inline]
    #[must_use]
    fn new((a, b): (u32, u32), mut items: Vec<Item>, _: bool) -> Order {
        items.push(Item(Self::sum(a, b)));
        let rush = workflow::allow!("the build's own", cfg!(debug_assertions));
        Self { items, rush }
    }

    #[inline]
    fn sum(a: u32, b: u32) -> u32 {
        a + b
    }

    #[run]
    async fn run(&mut self, _: (u32, u32), items: Items, rush: bool) -> usize {
        workflow::sleep(secs(1)).await;
        self.items.len() + items.len() + usize::from(rush && self.rush)
    }

    #[query]
    fn signal(&self) -> usize {
        self.items.len()
    }

    #[signal]
    fn query(&mut self, n: u32) {
        self.items.push(Item(n));
    }
}

mod elsewhere {
    pub struct Free(u32);

    #[abide::workflow]
    impl Free {
        #[abide::init]
        pub fn of() -> super::elsewhere::Free {
            Self(1)
        }

        #[abide::run]
        pub async fn run(&mut self) -> u32 {
            self.0
        }
    }
}

/// Handlers that are called as other engines' methods keep their names.
async fn client(client: Client, order: Handle<Order>) -> abide::Result<usize> {
    client.start(elsewhere::Free::run()).await?;
    order.query(1).await?;
    order.signal().await
}

fn main() {
    let _ = client;
}
