use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    
    day
}

fn register(abide: Abide) {
    abide.worker("orders").activity(report);
}

fn main() {}
