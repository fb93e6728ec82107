use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }

    #[signal]
    fn approve(yes: bool) {
        let _ = yes;
    }
}

fn main() {}
