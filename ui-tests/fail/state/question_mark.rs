use abide::prelude::*;

fn parse(n: u32) -> Result<u32, String> {
    Ok(n)
}

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        let _ = parse(n)?;
        self.total + n
    }
}

fn main() {}
