use abide::prelude::*;

async fn plain() {
    workflow::select! {
        _ = workflow::sleep(secs(1)) => {}
    }
}

fn main() {}
