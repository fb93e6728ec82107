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
    async fn pay(&mut self, cents: u32) -> Result<u32, CallError> {
        charge(cents).await
    }
}

fn main() {
    let _ = |order: abide::Handle<Order>| order.pay(1);
}
