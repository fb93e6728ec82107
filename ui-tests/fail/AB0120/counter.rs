use abide::prelude::*;

#[workflow]
async fn order(id: u32) -> u32 {
    let mut said = 0;
    let mut next = || {
        said += id;
        said
    };
    tracing::debug!("number {}", next());
    debug_assert!(next() > 0);
    said
}

fn main() {}
