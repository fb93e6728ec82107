use abide::prelude::*;

unsafe extern "C" {
    fn abs(n: i32) -> i32;
}

#[workflow]
async fn report() -> i32 {
    unsafe { abs(-1) }
}

fn main() {}
