use abide::prelude::*;
#[workflow]
async fn child(n: u32) -> u32 { n }
#[derive(Default)]
struct Order { name: String }
#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 { child(1).await }
}
fn main() {}
