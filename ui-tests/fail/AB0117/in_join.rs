use abide::prelude::*;

#[activity]
async fn rate(a: u32) -> f64 {
    f64::from(a)
}

#[workflow]
async fn report(day: u32) -> u32 {
    workflow::join!(rate(day), std::future::pending::<()>());
    day
}

fn main() {}
