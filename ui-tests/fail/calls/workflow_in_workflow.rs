use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> Result<u32, Failure> {
    Ok(day)
}

#[derive(Default)]
struct Order;

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, day: u32) -> Result<u32, Failure> {
        Ok(report(day).await?)
    }
}

#[workflow]
async fn week(day: u32) -> Result<u32, Failure> {
    let order = Order::run(day).await?;
    let _ = workflow::join!(report(day), workflow::sleep(secs(1)));
    Ok(order)
}

fn main() {}
