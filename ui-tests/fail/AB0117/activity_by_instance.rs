use abide::prelude::*;
struct Pay { x: u32 }
#[activity]
impl Pay {
    async fn charge(&self, n: u32) -> Result<u32, Failure> { Ok(n + self.x) }
}
#[derive(Default)]
struct Order { name: String }
#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        let pay = Pay { x: 1 };
        let n = pay.charge(3).await?;
        Ok(n)
    }
}
fn main() {}
