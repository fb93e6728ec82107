#![deny(unused_must_use)]
use abide::prelude::*;

#[activity]
async fn charge(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[derive(Default)]
struct Order {
    ready: bool,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        workflow::until!(self.ready);
        workflow::until!(self.ready).timeout(secs(1));
        workflow::until!(self.ready).timeout(secs(1)).await;
        workflow::join!(charge(1), charge(2));
        workflow::try_join!(charge(1), charge(2));
        workflow::select! { receipt = charge(1) => receipt, _ = workflow::sleep(secs(1)) => Ok(1) };
        1
    }
}

fn main() {}
