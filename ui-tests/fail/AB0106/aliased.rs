use abide::prelude::*;
use tokio::task::spawn_blocking as background;

#[workflow]
async fn report() {
    let _ = background(|| 1);
}

fn main() {}
