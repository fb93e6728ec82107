use abide::prelude::*;

struct Pricing;

impl Pricing {
    #[workflow::helper(sate)]
    async fn wait(&self) {
        workflow::sleep(secs(1)).await;
    }
}

fn main() {}
