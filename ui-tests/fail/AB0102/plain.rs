use abide::prelude::*;

#[workflow]
async fn report() {
    std::thread::sleep(secs(1));
}

fn main() {}
