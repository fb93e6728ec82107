use abide::prelude::*;

#[macro_use]
mod macros {
    macro_rules! both {
        ($first:expr, $second:expr) => {
            ($first.await, $second.await)
        };
    }
}

#[workflow::helper]
async fn wait() {
    both!(workflow::sleep(secs(1)), workflow::sleep(secs(2)));
}

#[workflow]
async fn report() {
    wait().await;
}

fn main() {}
