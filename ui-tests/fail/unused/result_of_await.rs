#![deny(unused_must_use)]
use abide::prelude::*;

#[activity]
async fn charge(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[derive(Default)]
struct Order {
    items: Vec<u32>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        charge(n).await;
        charge(1).await.is_ok();
        charge(2).await.unwrap_or_default() + 1;
        if n > 1 {
            charge(3).await;
        }
        match n {
            1 => charge(4).await,
            _ => Ok(5),
        };
        self.step().await;
        self.step();
        self.items.first().copied().max(charge(5).await.ok());
        async { charge(self.items.len() as u32).await }.await;
        async { charge(self.items.len() as u32).await };
        charge(6);
        n
    }

    async fn step(&mut self) -> Result<(), Failure> {
        charge(7).await;
        Ok(())
    }

    #[signal]
    async fn go(&mut self) {
        charge(8).await;
    }
}

fn main() {}
