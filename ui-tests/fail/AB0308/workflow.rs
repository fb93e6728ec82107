use abide::prelude::*;

#[workflow]
#[tracing::instrument]
async fn order(id: u32) -> u32 {
    id
}

#[tracing::instrument(skip_all)]
#[workflow]
async fn above(id: u32) -> u32 {
    id
}

fn main() {}
