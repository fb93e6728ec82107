use abide::prelude::*;

macro_rules! wait {
    ($future:expr) => {
        $future.await
    };
}

#[workflow]
async fn report() {
    wait!(workflow::sleep(secs(1)));
}

fn main() {}
