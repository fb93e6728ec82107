use abide::prelude::*;

struct Card;

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
    async fn pay(&mut self, cents: u32, card: Card) {
        self.total += cents;
        drop(card);
    }
}

async fn tell(order: abide::Handle<Order>) -> abide::Result<()> {
    order.pay(1, Card).await
}

fn main() {
    let _ = tell;
}
