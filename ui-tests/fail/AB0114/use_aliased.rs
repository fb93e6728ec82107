use abide::prelude::*;
use tokio::select as pick;

#[workflow]
async fn report() {
    pick! {
        _ = workflow::sleep(secs(1)) => {}
    }
}

fn main() {}
