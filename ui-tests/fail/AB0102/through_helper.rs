use abide::prelude::*;

fn settle() {
    std::thread::park_timeout(secs(1));
}

#[workflow]
async fn report() {
    settle();
}

fn main() {}
