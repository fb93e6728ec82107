use abide::prelude::*;
use tokio::time::{Instant, Sleep};

#[workflow::helper]
fn rest(sleep: &Sleep) -> std::time::Duration {
    let due = sleep.deadline().into_std();
    due.elapsed()
}

#[workflow::helper]
async fn by_path(sleep: &Sleep) -> bool {
    async {
        let past = Instant::into_std(sleep.deadline()).elapsed();
        past > secs(3)
    }
    .await
}

fn main() {
    let _ = (rest, by_path);
}
