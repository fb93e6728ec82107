use abide::prelude::*;

mod pricing {
    pub fn quote(base: u64) -> u64 {
        base + noise() + region()
    }

    fn noise() -> u64 {
        rand::random()
    }

    fn region() -> u64 {
        std::env::var("REGION").map_or(0, |name| name.len() as u64)
    }
}

#[workflow]
async fn report() -> u64 {
    pricing::quote(1)
}

fn main() {}
