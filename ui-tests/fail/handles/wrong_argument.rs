use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }

    #[signal]
    fn approve(&mut self, yes: bool) {
        self.total = u32::from(yes);
    }
}

async fn client(order: Handle<Order>) {
    order.approve("yes").await.ok();
}

fn main() {}
