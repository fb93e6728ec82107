use abide::prelude::*;

#[derive(Debug, Default)]
struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[run]
    #[tracing::instrument]
    async fn run(&mut self) -> u32 {
        workflow::until!(self.n > 3).await;
        self.n
    }

    #[signal]
    #[tracing::instrument(skip(self))]
    async fn set(&mut self, n: u32) {
        self.n = n;
    }
}

#[workflow::helper]
#[tracing::instrument]
async fn pack(n: u32) -> u32 {
    n
}

fn main() {}
