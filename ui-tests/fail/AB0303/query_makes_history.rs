use abide::prelude::*;

#[activity]
async fn charge(cents: u32) -> u32 {
    cents
}

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
    fn total(&self, by: u32) -> u32 {
        workflow::spawn(async move { charge(by).await });
        let flag: bool = workflow::random();
        let _ = format!("{}", workflow::uuid());
        self.total + u32::from(flag)
    }
}

fn main() {
    let _ = |order: abide::Handle<Order>| order.total(1);
}
