use abide::prelude::*;

fn even(n: u32) -> bool {
    n == 0 || odd(n - 1)
}

fn odd(n: u32) -> bool {
    if n == 7 {
        println!("seven");
    }
    n != 0 && even(n - 1)
}

#[workflow]
async fn report(n: u32) -> bool {
    even(n)
}

fn main() {}
