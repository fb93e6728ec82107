use abide::prelude::*;

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
}

trait Ship {
    fn ship(&mut self) -> impl workflow::WorkflowFuture<Output = u32>;
}

#[workflow::helper(state)]
impl Ship for Order {
    fn ship(&mut self) -> impl workflow::WorkflowFuture<Output = u32> {
        async { 1 }
    }
}

fn main() {}
