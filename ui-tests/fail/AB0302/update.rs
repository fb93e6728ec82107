use abide::prelude::*;

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

    #[update(validator = Self::may_set)]
    fn set(&mut self, n: u32) {
        self.total = n;
    }

    #[update(retry(max_attempts = 3))]
    fn add(&mut self, n: u32) {
        self.total += n;
    }

    fn may_set(&self, _n: &u32) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() {}
