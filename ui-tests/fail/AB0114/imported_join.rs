use abide::prelude::*;
use tokio::join;

#[workflow]
async fn report() {
    join!(workflow::sleep(secs(1)), workflow::sleep(secs(2)));
}

fn main() {}
