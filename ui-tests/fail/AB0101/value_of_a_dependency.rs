use abide::prelude::*;
use std::collections::BTreeMap;
use tokio::time::{Instant, Sleep};

#[workflow::helper]
fn rest(sleeps: &BTreeMap<u8, Sleep>) -> std::time::Duration {
    let due = sleeps[&0].deadline().into_std();
    due.elapsed()
}

#[workflow::helper]
async fn by_path(sleeps: &BTreeMap<u8, Sleep>) -> bool {
    async {
        let past = Instant::into_std(sleeps[&0].deadline()).elapsed();
        past > secs(3)
    }
    .await
}

fn main() {
    let _ = (rest, by_path);
}
