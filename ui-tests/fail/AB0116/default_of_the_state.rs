use abide::prelude::*;
use std::time::SystemTime;

struct Order {
    since: SystemTime,
}

impl Default for Order {
    fn default() -> Self {
        Self { since: SystemTime::now() }
    }
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> bool {
        self.since == SystemTime::UNIX_EPOCH
    }
}

fn main() {}
