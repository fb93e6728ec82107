use abide::prelude::*;

#[workflow]
async fn order(given: Option<u64>, id: u32) -> u32 {
    let mut said = 0;
    let mut next = || {
        said += id;
        said
    };
    let borrowed = &mut next;
    tracing::info!("{}", borrowed());
    tracing::info!(key = %given.unwrap_or_else(workflow::random));
    let draw = workflow::uuid;
    tracing::info!(key = %draw());
    said
}

fn main() {}
