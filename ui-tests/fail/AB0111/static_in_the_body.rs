use abide::prelude::*;

#[workflow]
async fn report() {
    static mut LAST: u32 = 0;
    let _ = &raw const LAST;
}

fn main() {}
