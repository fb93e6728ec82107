use abide::prelude::*;

#[workflow]
async fn report() -> u8 {
    let first = |bytes: &[u8]| unsafe { *bytes.get_unchecked(0) };
    first(&[1])
}

fn main() {}
