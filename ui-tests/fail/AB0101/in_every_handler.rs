use abide::prelude::*;
use std::time::Instant;

#[derive(Default)]
struct Order {
    events: Vec<String>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) {
        self.note("started");
        let wait = async { Instant::now() };
        let _ = wait.await;
    }

    #[signal]
    fn approve(&mut self) {
        self.events.push(format!("approved at {:?}", Instant::now()));
    }

    #[query]
    fn age(&self) -> u64 {
        Instant::now().elapsed().as_secs()
    }

    fn note(&mut self, what: &str) {
        self.events.push(format!("{what} at {:?}", Instant::now()));
    }
}

fn main() {}
