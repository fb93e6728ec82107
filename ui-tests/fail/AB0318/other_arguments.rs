use abide::prelude::*;

type Number = u32;

struct Fewer(u32);

#[workflow]
impl Fewer {
    #[init]
    fn new(n: u32) -> Self {
        Self(n)
    }

    #[run]
    async fn run(&mut self, n: u32, rush: bool) -> (u32, bool) {
        (n, rush)
    }
}

struct Another(String, u32);

#[workflow]
impl Another {
    #[init]
    fn new(name: String, n: Number) -> Self {
        Self(name, n)
    }

    #[run]
    async fn run(&mut self, name: Option<String>, n: u32) -> u32 {
        drop(name);
        n
    }
}

fn main() {}
