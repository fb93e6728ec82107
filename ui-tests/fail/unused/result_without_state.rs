#![deny(unused_must_use)]
use abide::prelude::*;

#[activity]
async fn charge(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[workflow]
async fn free(n: u32) -> u32 {
    charge(n).await;
    let later = async move { charge(n).await; };
    later.await;
    n
}

#[workflow::helper]
async fn help(n: u32) -> u32 {
    charge(n).await;
    n
}

struct Rates;

#[workflow::helper]
impl Rates {
    async fn quote(&self, n: u32) -> u32 {
        charge(n).await.is_ok();
        n
    }
}

fn main() {}
