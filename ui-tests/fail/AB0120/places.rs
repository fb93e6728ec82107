use abide::prelude::*;
use std::collections::BTreeMap;

#[derive(Default)]
struct Order {
    tries: BTreeMap<u32, u32>,
    list: Vec<u32>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, id: u32, mut a: u32, mut b: u32) -> u32 {
        debug_assert!({
            *self.tries.entry(id).or_default() += 1;
            true
        });
        tracing::info!("{}", {
            (a, b) = (b, a);
            a
        });
        debug_assert!(self.list.iter_mut().all(|n| {
            *n += 1;
            true
        }));
        tracing::info!("{:?} {}", self.list.iter().map(|a| a + 1).max(), {
            a += 1;
            a
        });
        a + b
    }
}

fn main() {}
