use abide::prelude::*;

#[activity]
#[workflow::helper]
async fn charge(cents: u32) -> u32 {
    cents
}

#[workflow::helper]
#[activity]
async fn refund(cents: u32) -> u32 {
    cents
}

struct Payments;

#[activity]
impl Payments {
    #[workflow::helper]
    async fn charge(&self, cents: u32) -> u32 {
        cents
    }
}

#[workflow]
#[workflow::helper]
async fn order(cents: u32) -> u32 {
    charge(cents).await.unwrap_or(0) + refund(cents).await.unwrap_or(0)
}

fn main() {}
