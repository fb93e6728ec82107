use abide::prelude::*;

#[derive(Default)]
struct Order;

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) {}

    #[signal]
    fn hurry(&mut self) {}

    #[query]
    fn total(&self, times: u32) -> u32 {
        times
    }
}

async fn client(order: Handle<Order>) {
    order.signal("hurry").await.ok();
    order.query("total", 2).await.ok();
}

fn main() {}
