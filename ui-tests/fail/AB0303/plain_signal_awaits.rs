use abide::prelude::*;

#[activity]
async fn charge(cents: u32) -> u32 {
    cents
}

#[derive(Default)]
struct Order {
    total: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }

    #[signal]
    fn pay(&mut self) {
        self.total = charge(1).await.unwrap_or(0);
    }
}

fn main() {
    let _ = |order: abide::Handle<Order>| order.pay();
}
