use abide::prelude::*;

fn later() {
    futures::executor::block_on(async {});
}

#[workflow]
async fn report() {
    later();
}

fn main() {}
