use abide::prelude::*;

#[derive(Default)]
struct Pricing {
    rate: u32,
}

impl Pricing {
    #[workflow::helper]
    async fn quote(&self, n: u32) -> u32 {
        workflow::sleep(secs(1)).await;
        self.rate * n
    }
}

#[derive(Default)]
struct Order {
    pricing: Pricing,
    total: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total = self.pricing.quote(1).await;
        self.total
    }
}

fn main() {}
