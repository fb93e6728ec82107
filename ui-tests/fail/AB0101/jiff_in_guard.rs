use abide::prelude::*;
use jiff::Timestamp;

#[workflow]
async fn report(day: u32) -> u32 {
    match day {
        1 if Timestamp::now().as_second() > 0 => 1,
        other => other,
    }
}

fn main() {}
