use abide::prelude::*;

#[activity]
async fn rate(a: u32) -> f64 {
    f64::from(a)
}

#[workflow]
async fn report(day: u32) -> u32 {
    workflow::select! {
        _ = rate(day) => {}
        _ = std::future::pending::<()>() => {}
    }
    day
}

fn main() {}
