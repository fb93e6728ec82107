use abide::prelude::*;
use std::hash::{BuildHasherDefault, DefaultHasher};

type Fixed<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

fn extensions() -> Fixed<String, u32> {
    Fixed::default()
}

#[workflow]
async fn report(n: u32) -> u32 {
    let found = extensions();
    for (_, count) in found {
        workflow::sleep(secs(u64::from(count))).await;
    }
    n
}

fn main() {}
