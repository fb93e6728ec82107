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
    async fn run(&mut self) -> Result<u32, Failure> {
        let (a, b) = workflow::join!(rate(1), rate(self.n)).await;
        let (c, d) = workflow::try_join!(rate(1), rate(2)).await?;
        let later = async { (workflow::join!(rate(1), rate(2))).await };
        later.await;
        Ok(a? + b? + c + d)
    }
}

fn main() {}
