use abide::prelude::*;

#[workflow]
async fn report() -> u8 {
    let bytes = [1_u8; 4];
    unsafe { *bytes.get_unchecked(0) }
}

fn main() {}
