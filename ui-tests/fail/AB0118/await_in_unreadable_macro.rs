use abide::prelude::*;

#[activity]
async fn rate(a: u32) -> f64 {
    f64::from(a)
}

macro_rules! row {
    ($name:ident => $value:expr) => {
        $value
    };
}

#[workflow]
async fn report(day: u32) -> u32 {
    let _ = row!{ a => rate(day).await };
    day
}

fn main() {}
