use abide::prelude::*;

fn first(bytes: &[u8]) -> u8 {
    unsafe { *bytes.get_unchecked(0) }
}

#[workflow]
async fn report() -> u8 {
    first(&[1])
}

fn main() {}
