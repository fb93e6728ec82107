use abide::prelude::*;

struct Waits(u32);

#[workflow]
impl Waits {
    #[init]
    async fn new(n: u32) -> Self {
        Self(n)
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

struct Borrows(u32);

#[workflow]
impl Borrows {
    #[init]
    fn new(&mut self, n: u32) -> Self {
        Self(n)
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

struct Generic(u32);

#[workflow]
impl Generic {
    #[init]
    fn new<T: Into<u32>>(n: T) -> Self {
        Self(n.into())
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

struct Refuses(u32);

#[workflow]
impl Refuses {
    #[init]
    fn new(n: u32) -> Result<Self, Failure> {
        Ok(Self(n))
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

struct Nothing(u32);

#[workflow]
impl Nothing {
    #[init]
    fn new(n: u32) {
        let _ = n;
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

struct Twice(u32);

#[workflow]
impl Twice {
    #[init]
    fn new(n: u32) -> Self {
        Self(n)
    }

    #[init]
    fn again(n: u32) -> Self {
        Self(n)
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

fn main() {}
