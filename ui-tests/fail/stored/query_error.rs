use abide::prelude::*;

#[derive(Debug)]
struct Declined;

#[derive(Default)]
struct Order {
    total: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }

    #[query]
    fn card(&self, by: u32, of: u32) -> Result<u32, Declined> {
        if self.total > by { Ok(of) } else { Err(Declined) }
    }
}

async fn ask(order: abide::Handle<Order>) {
    let _ = order.card(1, 2).await;
}

fn main() {
    let _ = ask;
}
