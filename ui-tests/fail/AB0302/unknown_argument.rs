use abide::prelude::*;

#[workflow(timeout = "3d")]
async fn report(day: u32) -> u32 {
    day
}

fn main() {}
