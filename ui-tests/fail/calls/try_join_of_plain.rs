use abide::prelude::*;

#[activity]
async fn rate(a: u32) -> f64 {
    f64::from(a)
}

#[workflow]
async fn report(day: u32) -> u32 {
    let _ = workflow::try_join!(workflow::sleep(secs(1)), rate(day));
    day
}

fn main() {}
