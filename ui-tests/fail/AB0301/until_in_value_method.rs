use abide::prelude::*;

struct Pricing {
    ready: bool,
}

impl Pricing {
    #[workflow::helper]
    async fn wait(&self) {
        workflow::until!(self.ready).await;
    }
}

fn main() {}
