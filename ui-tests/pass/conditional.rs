//! `#[cfg(..)]` wherever rustc takes it, and what refers to itself.
#![deny(warnings)]

use abide::prelude::*;

fn fast() -> u32 {
    1
}

#[cfg(windows)]
fn process() -> u32 {
    std::process::id()
}

#[cfg(not(windows))]
fn process() -> u32 {
    1
}

macro_rules! count {
    () => { 0 };
    ($head:expr $(, $tail:expr)*) => { { let _ = $head; 1 + count!($($tail),*) } };
}

struct Node {
    value: u32,
    next: Option<&'static Node>,
}

static LOOP: Node = Node { value: 1, next: Some(&LOOP) };

macro_rules! say {
    (quiet $text:expr) => {
        tracing_like($text)
    };
    (loud $text:expr) => {
        println!("{}", $text)
    };
}

fn tracing_like(_: &str) {}

#[workflow]
async fn statements(values: Vec<u32>) -> u32 {
    #[cfg(windows)]
    let x = fast();
    #[cfg(not(windows))]
    let x = fast() + 1;
    #[cfg(test)]
    for value in &values {
        assert!(*value > 0);
    }
    #[cfg(windows)]
    {
        let y = fast();
        drop(y);
    }
    let z = match values.len() {
        #[cfg(windows)]
        1 => fast(),
        other => u32::try_from(other).unwrap_or_default(),
    };
    say!(quiet "x");
    x + z + process() + count!(1, 2, 3) + LOOP.value + LOOP.next.map_or(0, |node| node.value)
}

#[derive(Default)]
pub struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[run]
    pub async fn run(&mut self) -> u32 {
        #[cfg(windows)]
        workflow::sleep(secs(1)).await;
        workflow::until!(self.n > 3).await;
        self.n
    }

    #[cfg(windows)]
    #[query]
    pub fn on_windows(&self) -> u32 {
        self.n
    }

    #[cfg(not(windows))]
    #[query]
    pub fn elsewhere(&self) -> u32 {
        self.n
    }

    #[cfg(windows)]
    #[signal]
    pub fn set_on_windows(&mut self, n: u32) {
        self.n = n;
    }

    #[cfg(not(windows))]
    #[signal]
    pub async fn set(&mut self, n: u32) {
        self.n = n;
    }
}

fn main() {
    let _ = statements;
    say!(loud "x");
}
