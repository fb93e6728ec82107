use abide::prelude::*;

#[workflow]
async fn order() {
    workflow::join!();
    let _ = workflow::try_join!(a => b)?;
}

fn main() {}
