use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    workflow::spawn(std::future::pending::<()>());
    day
}

fn main() {}
