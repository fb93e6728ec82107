use abide::prelude::*;

#[activity]
async fn charge(n: u32) -> u32 {
    n
}

struct Order {
    n: u32,
    at: i64,
    id: String,
}

#[workflow]
impl Order {
    #[init]
    fn new(n: u32) -> Self {
        let n = charge(n).await.unwrap_or(n);
        let later = async { n };
        drop(later);
        Self { n, at: workflow::now().as_second(), id: workflow::uuid().to_string() }
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n + self.n
    }
}

struct Charged;

#[workflow]
impl Charged {
    #[init]
    fn new(n: u32) -> Self {
        charge(n);
        Self
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

fn main() {}
