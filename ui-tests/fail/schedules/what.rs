//! A schedule starts a workflow that is called, and nothing else.

use abide::prelude::*;

#[workflow]
async fn nightly_report() {}

#[activity(start_to_close = "30s")]
async fn count() -> u64 {
    7
}

pub async fn serve(client: Client) -> Result<(), Failure> {
    // Not called.
    client.schedule("nightly", nightly_report).cron("0 3 * * *").await?;
    // An activity.
    client.schedule("count", count()).every(hours(1)).await?;
    Ok(())
}

fn main() {}
