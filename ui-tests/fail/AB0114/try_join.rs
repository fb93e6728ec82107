use abide::prelude::*;

#[activity]
async fn first() -> Result<u32, Failure> {
    Ok(1)
}

#[workflow]
async fn report() {
    let both = tokio::try_join!(first(), first());
    let _ = both;
}

fn main() {}
