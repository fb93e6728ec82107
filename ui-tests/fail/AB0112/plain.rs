use abide::prelude::*;

#[workflow]
async fn report() {
    let seats = std::sync::Mutex::new(3);
    let _ = seats;
}

fn main() {}
