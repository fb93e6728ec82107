use abide::prelude::*;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[workflow]
async fn report() -> usize {
    cores()
}

fn main() {}
