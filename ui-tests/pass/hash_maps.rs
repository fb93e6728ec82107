//! What workflow code may do with hash maps and sets: everything in which their order does not show.
#![deny(warnings)]

use abide::prelude::*;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

type Stock<V> = HashMap<String, V>;

#[derive(Default)]
struct Shop {
    stock: Stock<u32>,
    seen: HashSet<u32>,
    prices: BTreeMap<String, u32>,
    queue: Vec<(String, u32)>,
}

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self, first: HashMap<String, u32>) -> u32 {
        self.lookups(first);
        let sorted: BTreeMap<_, _> = self.stock.iter().map(|(k, v)| (k.clone(), *v)).collect();
        for (name, count) in &sorted {
            workflow::sleep(secs(u64::from(*count))).await;
            self.queue.push((name.clone(), *count));
        }
        for (name, count) in std::mem::take(&mut self.queue) {
            *self.prices.entry(name).or_default() += count;
        }
        for price in self.prices.values_mut() {
            *price += 1;
        }
        self.later().await.len() as u32 + self.consumed() + self.sorted().len() as u32 + self.extended()
    }

    fn lookups(&mut self, first: HashMap<String, u32>) {
        self.stock = first;
        self.stock.insert("apple".into(), 1);
        *self.stock.entry("pear".to_owned()).or_insert(0) += 2;
        self.stock.remove("fig");
        if let Some(count) = self.stock.get_mut("apple") {
            *count += 1;
        }
        self.seen.extend([1, 2, 3]);
        self.seen.retain(|n| *n > 1);
        let copy = self.stock.clone();
        assert!(copy.contains_key("apple") && self.seen.contains(&2) && !copy.is_empty());
        assert_eq!(copy["pear"], copy.len() as u32);
        self.stock.extend(copy);
        assert!(self.seen.is_subset(&self.seen.clone()));
    }

    fn consumed(&self) -> u32 {
        let many = self.stock.values().filter(|n| **n > 1).count() + self.stock.keys().len();
        let all = self.stock.values().all(|n| *n > 0) && self.stock.keys().any(|name| name.len() > 3);
        let most = self.stock.values().copied().max().unwrap_or(0) + *self.stock.values().min().unwrap_or(&0);
        let sum = self.stock.values().sum::<u32>();
        let common = self.seen.intersection(&HashSet::from([1])).count();
        most + sum + common as u32 + u32::from(all) + many as u32
    }

    fn sorted(&self) -> Vec<String> {
        let mut names: Vec<_> = self.stock.keys().cloned().collect();
        names.sort();
        let mut pairs = self.stock.iter().collect::<Vec<_>>();
        pairs.sort_unstable_by_key(|(name, _)| name.len());
        let set: BTreeSet<&String> = self.stock.keys().collect();
        let _heap = self.stock.values().copied().collect::<BinaryHeap<_>>();
        let _swapped: HashMap<u32, String> = self.stock.iter().map(|(k, v)| (*v, k.clone())).collect();
        let _both = self.seen.union(&HashSet::from([7])).copied().collect::<HashSet<_>>();
        let _ordered = BTreeMap::from_iter(self.stock.iter());
        let _also = std::collections::BTreeSet::from_iter(&self.seen);
        names.extend(set.into_iter().cloned());
        names
    }

    fn extended(&mut self) -> u32 {
        let mut more: BTreeMap<String, u32> = BTreeMap::new();
        more.extend(self.stock.clone());
        more.extend(self.stock.iter().map(|(name, n)| (name.clone(), *n)));
        let target = &mut more;
        target.extend(self.stock.drain());
        self.stock.extend(more.iter().map(|(name, n)| (name.clone(), *n)));
        more.len() as u32
    }

    #[signal]
    fn add(&mut self, name: String, count: u32) {
        self.stock.insert(name, count);
    }

    #[query]
    fn listed(&self) -> BTreeSet<u32> {
        self.seen.iter().copied().collect()
    }

    async fn later(&self) -> BTreeMap<String, u32> {
        workflow::sleep(secs(1)).await;
        self.stock.clone().into_iter().collect()
    }

    #[query]
    fn stocked(&self) -> HashMap<String, u32> {
        self.stock.clone()
    }
}

/// Sees no probes at all.
#[workflow::helper(no_probes)]
fn unchecked(map: &HashMap<String, u32>) -> Vec<u32> {
    map.values().copied().collect()
}

#[workflow::deterministic("the hasher is seeded by hand")]
fn vouched(map: &HashMap<String, u32>) -> Vec<u32> {
    map.values().copied().collect()
}

#[workflow(no_probes)]
async fn off(first: HashMap<String, u32>) -> u32 {
    for _ in &first {}
    unchecked(&first).len() as u32 + vouched(&first).len() as u32
}

fn register(abide: &Abide) {
    let _ = abide.worker("shop").workflow(Shop::run).workflow(off);
}

fn main() {
    let _ = register;
}
