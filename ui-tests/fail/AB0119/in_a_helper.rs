use abide::prelude::*;

#[workflow::helper]
async fn each(days: Vec<u64>) -> u64 {
    let wait = async |day: u64| {
        workflow::sleep(secs(day)).await;
        day
    };
    let mut sum = 0;
    for day in days {
        sum += wait(day).await;
    }
    sum
}

#[workflow]
async fn report() -> u64 {
    each(vec![1, 2]).await
}

fn main() {}
