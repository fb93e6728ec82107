use abide::prelude::*;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Order {
    seats: Arc<Mutex<u32>>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.seats.lock().map_or(0, |seats| *seats)
    }
}

fn main() {}
