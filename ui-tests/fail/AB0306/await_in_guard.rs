use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        match self.items.len() {
            0 => {}
            _ => {}
        }
        match self.total {
            t if workflow::timeout(secs(1), workflow::sleep(secs(t.into()))).await.is_ok() => {}
            _ => {}
        }
        self.total + n
    }
}

fn main() {}
