use abide::prelude::*;

#[workflow]
async fn report() {
    let _ = std::thread::spawn(|| 1);
}

fn main() {}
