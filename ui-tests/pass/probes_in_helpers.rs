//! Lawful code that value probes must leave alone, in helpers: generics, `impl Trait`, places that calls give, guards
//! and chains of conditions. See `probes.rs` for workflows.
#![deny(warnings)]

use abide::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

pub trait Shape: Debug {
    fn area(&self) -> u32;
}

#[derive(Clone, Debug)]
pub struct Square(u32);

impl Shape for Square {
    fn area(&self) -> u32 {
        self.0
    }
}

fn square() -> Box<Square> {
    Box::new(Square(2))
}

fn made<T: Default>() -> T {
    T::default()
}

fn wrapped<T>(value: T) -> Option<T> {
    Some(value)
}

fn numbers(up_to: u32) -> impl Iterator<Item = u32> + Clone {
    0..up_to
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

fn total(list: &Vec<u32>) -> u32 {
    list.iter().sum()
}

fn die() -> ! {
    panic!("never called")
}

#[derive(Default)]
pub struct Places {
    list: Vec<u32>,
    count: u32,
    maps: Vec<HashMap<String, u32>>,
}

#[activity]
pub async fn prices(of: u32) -> Result<Vec<u32>, Failure> {
    Ok(vec![of])
}

#[workflow]
impl Places {
    #[run]
    pub async fn run(&mut self, first: u32) -> Result<u32, Failure> {
        for price in prices(self.count).await? {
            self.count += price;
        }
        for price in prices(first).await?.into_iter().filter(|n| *n > 1) {
            self.list_mut().push(price);
            prices(price).await?;
        }
        self.places();
        Ok(self.conditions(first) + self.looked_up("x").await)
    }

    fn places(&mut self) {
        self.list_mut().push(1);
        *self.count_mut() += 1;
        *self.count_mut() = total(&made());
        self.list_mut()[0] = total(&made::<Vec<u32>>());
        self.list_mut().iter_mut().for_each(|n| *n += 1);
        let copy = &self.list_mut().clone();
        let later;
        later = made::<u32>();
        let count = self.list_ref().len() as u32 + copy[0] + later;
        let (ref a, mut b) = (made::<String>(), made::<u32>());
        b += a.len() as u32 + count;
        for n in 0..self.tally() {
            b += n;
        }
        for list in [&self.list, &vec![b]].into_iter() {
            b += total(list);
        }
        self.count += b;
        let moved = std::mem::take(self.list_mut());
        for n in moved {
            self.count += n;
        }
        let mut sums = Vec::new();
        (0..3).for_each(|n| sums.extend(numbers(n)));
        sums.extend(self.list.iter());
        sums.extend(self.maps.iter().map(|map| map.len() as u32));
        self.list.extend(sums.iter().chain([1, 2].iter()).zip(numbers(9)).map(|(a, b)| a + b));
    }

    fn conditions(&mut self, n: u32) -> u32 {
        if let Some(first) = self.first_item()
            && first > n
            && wrapped(first).is_some()
        {
            return first;
        }
        while let Some(item) = self.last_item() {
            self.list.retain(|n| *n != item);
        }
        match self.first_item() {
            Some(item) if self.list.iter().skip(1).next().is_some_and(|n| *n > item) => item,
            Some(item) if check(item) || self.tally() > 3 => item,
            Some(_) if self.count > 1_000_000 => die(),
            Some(_) => self.tally(),
            None => match made::<Option<u32>>() {
                Some(n) => n,
                None => 0,
            },
        }
    }

    async fn looked_up(&self, name: &str) -> u32 {
        let found = self.maps.iter().filter_map(|map| map.get(name)).copied();
        let all: Vec<u32> = found.collect();
        workflow::sleep(secs(1)).await;
        let Some(first) = all.first() else { return made() };
        *first
    }

    fn list_mut(&mut self) -> &mut Vec<u32> {
        &mut self.list
    }

    fn list_ref(&self) -> &[u32] {
        &self.list
    }

    fn count_mut(&mut self) -> &mut u32 {
        &mut self.count
    }

    fn tally(&self) -> u32 {
        self.count
    }

    fn first_item(&self) -> Option<u32> {
        self.list.first().copied()
    }

    fn last_item(&self) -> Option<u32> {
        self.list.last().copied()
    }
}

fn fails<T>(n: u32) -> Result<T, Failure> {
    Err(Failure::new(n))
}

/// Types that are inferred late, or never.
#[workflow::helper]
pub async fn late(n: u32) -> Result<u32, Failure> {
    let inner: u32 = async {
        let value = made();
        value
    }
    .await;
    let list: Vec<u64> = ["1"].iter().map(|text| parse(text).unwrap_or_else(|_| made())).collect();
    let outer = || made();
    let known: u8 = outer();
    if n > 3 {
        fails(n)?;
    }
    let _ = fails(n)?;
    let nested: Option<u32> = fails(n)?;
    Ok(inner + list.len() as u32 + u32::from(known) + nested.unwrap_or_default())
}

fn check(n: u32) -> bool {
    n > 3
}

#[workflow::helper]
mod marked {
    use super::{Shape, numbers, square};

    pub struct Counter(pub u32);

    impl Counter {
        pub fn up_to(&self) -> impl Iterator<Item = u32> + '_ {
            let mut all = Vec::new();
            for n in numbers(self.0) {
                all.push(n);
            }
            all.into_iter().map(|n| n + self.0)
        }
    }

    impl Iterator for Counter {
        type Item = Box<dyn Shape>;

        fn next(&mut self) -> Option<Self::Item> {
            self.0 = self.0.checked_sub(1)?;
            Some(square())
        }
    }

    pub fn areas() -> u32 {
        let mut sum = 0;
        for shape in Counter(3) {
            sum += shape.area();
        }
        for shape in Counter(3).by_ref() {
            sum += shape.area();
        }
        sum
    }
}

#[workflow::helper]
pub async fn generic<T, F>(values: impl IntoIterator<Item = T>, f: F) -> Vec<T>
where
    T: Clone + Ord,
    F: Fn(&T) -> T,
{
    let mut all = Vec::new();
    for value in values {
        all.push(f(&value));
    }
    let copy = wrapped(all.clone()).unwrap_or_default();
    for value in copy.into_iter() {
        all.push(value);
    }
    all.sort();
    all
}

#[workflow::helper]
pub fn borrowed<'a>(
    names: &'a BTreeMap<String, Vec<u32>>,
    of: &str,
) -> impl Iterator<Item = &'a u32> + use<'a> {
    let found = names.get(of).into_iter();
    found.flat_map(|list| list.iter())
}

#[workflow::helper]
pub fn walk(n: u32) -> impl Iterator<Item = u32> {
    let below: Vec<u32> = if n == 0 { Vec::new() } else { walk(n - 1).collect() };
    below.into_iter()
}

#[workflow::helper]
pub const fn constant() -> usize {
    made_const().len()
}

const fn made_const() -> &'static str {
    "const"
}

#[workflow::helper]
pub fn object() -> Box<dyn Shape> {
    for _ in numbers(1) {}
    square()
}

#[workflow::helper]
pub fn boxed_error(n: u32) -> Result<Box<dyn Shape>, Box<dyn std::error::Error>> {
    for n in numbers(n) {
        let parsed: i64 = parse(&n.to_string())?;
        assert!(parsed >= 0);
    }
    if n > 3 {
        Err("too many")?
    }
    Ok(square())
}

macro_rules! reporters {
    ($($name:ident: $list:expr => $block:block)*) => {$(
        #[workflow]
        pub async fn $name(n: u32) -> u32 {
            let mut sum = n;
            for m in $list {
                sum += m;
            }
            for m in numbers(n).collect::<Vec<_>>().iter() {
                sum += *m + made::<u32>();
            }
            sum + $block
        }
    )*};
}

reporters! {
    one: vec![1, 2] => { let mut sum = 0; for n in numbers(3) { sum += n; } sum }
    two: numbers(3) => { [1_u32].iter().map(|n| { let all: Vec<u32> = numbers(*n).collect(); all.iter().sum::<u32>() }).sum::<u32>() }
}

/// A time that is no clock's: out of data that history keeps.
#[workflow::helper]
pub fn stored(record: &Record) -> bool {
    let at = record.seen_at();
    let next = plus_a_day(at);
    next > at
}

pub struct Record(std::time::SystemTime);

impl Record {
    fn seen_at(&self) -> std::time::SystemTime {
        self.0
    }
}

fn plus_a_day(at: std::time::SystemTime) -> std::time::SystemTime {
    at + days(1)
}

fn main() {
    let _ = (one, two, late(1), Places::run, stored, marked::areas(), marked::Counter(1).up_to().count());
    let _ = (constant(), boxed_error(1).is_ok(), object().area(), walk(2).count());
    let _ = (borrowed(&BTreeMap::new(), "x").count(), generic([1], |n| *n));
}
