use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        self.total += 1;
        let first = &self.items[0];
        workflow::sleep(secs(1)).await;
        let _ = format!("{first}");
        self.total + n
    }
}

fn main() {}
