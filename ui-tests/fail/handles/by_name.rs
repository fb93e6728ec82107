use abide::prelude::*;

#[derive(Default)]
struct Order {
    approved: bool,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) {}

    #[signal]
    fn approve(&mut self, yes: bool) {
        self.approved = yes;
    }

    #[query]
    fn status(&self) -> bool {
        self.approved
    }
}

async fn client(order: Handle<Order>, untyped: abide::UntypedHandle) {
    order.signal("approve", true).await.ok();
    order.query("status").await.ok();
    order.update("approve", true).await.ok();
    untyped.signal("approve", (true,)).await.ok();
    untyped.query("status").await.ok();
}

fn main() {}
