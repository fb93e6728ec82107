//! Activities, a workflow and its start in modules of their own: what a method's visibility says holds for its call.

mod activities {
    use abide::prelude::*;

    pub struct Payments;

    #[activity]
    impl Payments {
        pub async fn charge(&self, cents: u32) -> Result<u32, Failure> {
            Ok(cents)
        }

        pub(crate) async fn refund(&self, cents: u32) -> u32 {
            cents
        }
    }

    /// A host that only this module's parent sees, and an argument likewise.
    pub(super) struct Stock;

    #[derive(serde::Serialize, serde::Deserialize)]
    pub(super) struct Item(pub(super) String);

    #[activity]
    impl Stock {
        pub(super) async fn reserve(&self, item: Item) -> String {
            item.0
        }
    }

    #[activity]
    pub(crate) async fn label(address: String) -> String {
        address
    }
}

mod workflows {
    use super::activities::{Item, Payments, Stock, label};
    use abide::prelude::*;

    #[workflow]
    pub(crate) async fn order(item: String) -> Result<u32, Failure> {
        let item = Stock::reserve(Item(item)).await?;
        let charged = Payments::charge(990).await?;
        let refunded = Payments::refund(charged).await?;
        label(item).await?;
        Ok(refunded)
    }
}

mod program {
    use super::activities::{Payments, Stock, label};
    use super::workflows::order;
    use abide::prelude::*;

    pub(crate) fn worker(abide: &Abide) -> abide::WorkerBuilder {
        let worker = abide.worker("orders").workflow(order).activity(label);
        worker.activities(Payments).activities(Stock)
    }
}

fn main() {
    let _ = program::worker;
}
