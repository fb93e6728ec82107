use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    let _ = async |x: u32| x;
    day
}

fn main() {}
