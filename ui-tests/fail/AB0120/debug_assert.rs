use abide::prelude::*;

#[workflow]
async fn order(id: u32) -> u32 {
    let mut left = id;
    debug_assert!({
        left -= 1;
        left > 0
    });
    left
}

fn main() {}
