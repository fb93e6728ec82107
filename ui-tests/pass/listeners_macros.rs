//! Macros of the crate around those of `tracing`, and what the arguments do among themselves.
#![deny(warnings)]

#[macro_use]
extern crate tracing;

use abide::prelude::*;
use std::collections::BTreeMap;

macro_rules! tell {
    ($($told:tt)*) => {
        info!($($told)*)
    };
}

macro_rules! timed {
    ($name:literal, $value:expr) => {{
        tell!("{} begins", $name);
        let value = $value;
        tell!(value, "{} ends", $name);
        value
    }};
}

macro_rules! doubled {
    ($n:expr) => {{
        let mut n = $n;
        n *= 2;
        n
    }};
}

#[workflow::helper]
#[tracing::instrument(level = "debug", skip(given), fields(double = n * 2, given = given.len()))]
fn helps(n: u32, given: &[u32]) -> u32 {
    debug!("helps");
    n + given.len() as u32
}

#[workflow]
async fn order(ids: Vec<u32>) -> u32 {
    let mut told = 0;
    let n = timed!("order", {
        told += 1;
        told
    });
    tell!(n, double = doubled!(n), "{} of {}", n, ids.len());
    debug_assert!({
        let mut counts = BTreeMap::new();
        for id in &ids {
            *counts.entry(id).or_insert(0) += 1;
        }
        counts.values().all(|count| *count == 1)
    });
    debug_assert!('known: {
        for id in &ids {
            if *id == n {
                break 'known false;
            }
        }
        true
    });
    let uuid = workflow::uuid();
    tell!(%uuid, "drawn");
    let span = info_span!("order", n);
    span.in_scope(|| helps(n, &ids))
}

fn main() {
    let _ = order;
}
