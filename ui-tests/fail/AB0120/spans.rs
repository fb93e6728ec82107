use abide::prelude::*;

#[activity]
async fn dump(id: u32) -> u32 {
    id
}

#[workflow]
async fn order(id: u32) -> Result<(), Failure> {
    let span = tracing::debug_span!("order", id);
    if !span.is_disabled() {
        dump(id).await?;
    }
    if span.entered().is_none() || tracing::Span::current().id().is_some() {
        dump(id).await?;
    }
    Ok(())
}

fn main() {}
