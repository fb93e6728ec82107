//! Time limits by the name of a constant.

use abide::prelude::*;
use std::time::Duration;

const LIMIT: Duration = mins(5);

mod limits {
    pub const WAIT: std::time::Duration = abide::workflow::millis(200);
}

struct Payments;

impl Payments {
    const ALL: Duration = hours(1);
}

#[activity(start_to_close = LIMIT, schedule_to_close = Payments::ALL, retry(initial_interval = limits::WAIT, max_interval = LIMIT))]
async fn charge(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[activity]
impl Payments {
    #[activity(start_to_close = LIMIT)]
    async fn refund(&self, n: u32) -> u32 {
        n
    }
}

fn main() {
    let _ = millis(5);
}
