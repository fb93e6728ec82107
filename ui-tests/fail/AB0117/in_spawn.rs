use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    workflow::spawn(tokio::time::sleep(secs(1)));
    day
}

fn main() {}
