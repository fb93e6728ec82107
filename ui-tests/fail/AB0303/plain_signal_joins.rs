use abide::prelude::*;

#[activity]
async fn rate(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[derive(Default)]
struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.n
    }

    #[signal]
    fn add(&mut self) {
        let _ = workflow::join!(rate(1), rate(2));
    }
}

fn main() {}
