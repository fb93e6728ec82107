use abide::prelude::*;
use abide::workflow::until as wait_for;

#[derive(Default)]
struct Order {
    ready: bool,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) {
        wait_for!(self.ready).await;
    }
}

fn main() {}
