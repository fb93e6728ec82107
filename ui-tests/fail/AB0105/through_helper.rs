use abide::prelude::*;

fn count() -> usize {
    std::thread::Builder::new().spawn(|| 1).map_or(0, |_| 1)
}

#[workflow]
async fn report() -> usize {
    count()
}

fn main() {}
