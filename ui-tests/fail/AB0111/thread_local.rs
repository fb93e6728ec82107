use abide::prelude::*;

thread_local! {
    static COUNT: u32 = const { 1 };
}

#[workflow]
async fn report() -> u32 {
    COUNT.with(|count| *count)
}

fn main() {}
