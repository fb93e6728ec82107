//! Nasty but lawful code that value probes must leave alone: not one error or warning more than without them.
#![deny(warnings)]

use abide::prelude::*;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Display};
use std::rc::Rc;
use std::sync::Arc;

pub trait Shape: Debug {
    fn area(&self) -> u32;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Square(u32);

impl Shape for Square {
    fn area(&self) -> u32 {
        self.0 * self.0
    }
}

fn square() -> Box<Square> {
    Box::new(Square(2))
}

fn shared() -> Rc<Square> {
    Rc::new(Square(3))
}

fn made<T: Default>() -> T {
    T::default()
}

fn wrapped<T>(value: T) -> Option<T> {
    Some(value)
}

fn pair<T: ?Sized>(a: &T) -> (&T, &T) {
    (a, a)
}

fn longest<'a>(a: &'a str, b: &'a str) -> &'a str {
    if a.len() > b.len() { a } else { b }
}

fn first_mut(of: &mut [u32]) -> &mut u32 {
    &mut of[0]
}

fn die() -> ! {
    panic!("never called")
}

fn numbers(up_to: u32) -> impl Iterator<Item = u32> + Clone {
    0..up_to
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

fn apply<T>(value: T, f: impl Fn(&T) -> u32) -> u32 {
    f(&value)
}

fn lines(text: &str) -> std::str::Lines<'_> {
    text.lines()
}

fn bytes() -> [u8; 3] {
    *b"abc"
}

pub struct Guarded<'a>(&'a RefCell<Vec<u32>>);

impl Guarded<'_> {
    fn items(&self) -> std::cell::Ref<'_, Vec<u32>> {
        self.0.borrow()
    }

    fn current(&self) -> Cow<'_, str> {
        Cow::Borrowed("now")
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().push(0);
    }
}

fn guarded(of: &RefCell<Vec<u32>>) -> Guarded<'_> {
    Guarded(of)
}

#[derive(Default)]
pub struct Nasty {
    items: Vec<u32>,
    names: BTreeMap<String, Vec<u32>>,
    total: u32,
    map: HashMap<String, u32>,
}

/// Types that are not `Sized`, with lifetimes and behind aliases.
#[activity]
pub async fn stored_types(of: Box<str>, name: Cow<'static, str>, list: Box<[Amount]>) -> Res<Vec<Amount>> {
    Ok(list.iter().map(|n| n + of.len() as u64 + name.len() as u64).collect())
}

type Amount = u64;
type Res<T> = Result<T, Failure>;

#[activity]
pub async fn price(of: String) -> Result<u32, Failure> {
    Ok(u32::try_from(of.len())?)
}

#[workflow]
impl Nasty {
    #[run]
    pub async fn run(&mut self, up_to: u32) -> Result<u32, Failure> {
        self.coercions();
        self.borrows();
        let values = self.closures(up_to);
        for value in values {
            self.total += price(value.to_string()).await?;
        }
        for (name, list) in &self.names {
            self.total += list.len() as u32 + name.len() as u32;
        }
        let of = self.items.clone();
        for price in futures::future::join_all(of.iter().map(|n| price(n.to_string()))).await {
            self.total += price?;
        }
        let sum = async {
            let mut sum = 0;
            for n in numbers(3) {
                sum += n + self.step(n).await;
            }
            let label = made::<String>();
            let length = parse::<u32>("12")? + label.len() as u32;
            Ok::<_, Failure>(sum + length)
        }
        .await?;
        let spawned = workflow::spawn(async {
            let mut all = Vec::new();
            for name in ["a", "b"].iter() {
                all.push(price((*name).to_owned()).await.unwrap_or_default());
            }
            for n in all.iter_mut() {
                *n += 1;
            }
            all.into_iter().sum::<u32>()
        });
        let recursive = self.countdown(3).await + descend(2).await;
        let waited = workflow::until!(self.items.iter().rev().take(2).filter(|n| **n > 1).last().is_none());
        drop(waited);
        let parsed: u64 = parse("7")?;
        let unparsed = parse::<u8>("7")?;
        Ok(sum + spawned.await? + recursive + parsed as u32 + u32::from(unparsed))
    }

    fn coercions(&mut self) {
        let boxed: Box<dyn Shape> = square();
        let counted: Rc<dyn Shape> = shared();
        let slice: &[u8] = &bytes();
        let text: &str = &made::<String>();
        let optional: Option<Box<dyn Shape>> = wrapped(Box::new(Square(1)));
        let borrowed: Option<&dyn Shape> = wrapped(&Square(1));
        let list: Vec<Box<dyn Display>> = vec![Box::new(1), Box::new("two"), made::<Box<String>>()];
        let empty: Box<[u32]> = made();
        let function: fn() -> Box<Square> = square;
        let closure: Box<dyn Fn(u32) -> u32> = Box::new(|n| n + 1);
        let arc: Arc<dyn Fn(&str) -> usize> = Arc::new(|text| text.len());
        let chosen: Box<dyn Iterator<Item = u32>> =
            if list.is_empty() { Box::new(numbers(2)) } else { Box::new(self.items.iter().copied()) };
        self.total += chosen.sum::<u32>() + closure(1) + arc("x") as u32 + function().area();
        self.total += boxed.area() + counted.area() + slice.len() as u32 + text.len() as u32;
        self.total += optional.map_or(0, |shape| shape.area()) + borrowed.map_or(0, Shape::area);
        self.total += empty.len() as u32;
        let number: u32 = match self.items.first() {
            Some(first) => *first,
            None if self.total > 1_000_000 => die(),
            None => Default::default(),
        };
        let Some(last) = wrapped(number) else { die() };
        let (a, b) = pair("unsized");
        let [x, y] = [made::<u32>(), 2];
        let chars: [char; const { "abc".len() }] = ['a'; "abc".len()];
        self.total += last + (a.len() + b.len() + chars.len()) as u32 + x + y;
    }

    fn borrows(&mut self) {
        *first_mut(&mut self.items) = 3;
        *first_mut(&mut self.items) += 1;
        self.items.push(self.items.len() as u32);
        self.items.extend(self.names.values().flatten());
        for item in &mut self.items {
            self.total += *item;
            *item = 0;
        }
        for item in self.items.iter_mut() {
            self.total += *item;
        }
        let cell = RefCell::new(vec![1, 2]);
        for item in guarded(&cell).items().iter() {
            self.total += item;
        }
        for item in cell.borrow_mut().drain(..) {
            self.total += item;
        }
        let length = guarded(&cell).current().len();
        let text = String::from("text");
        let longer = longest(&text, "other");
        for line in lines(longer) {
            self.total += line.len() as u32;
        }
        let kept = &made::<Vec<u32>>();
        let mut iter = self.items.iter();
        while let Some(item) = iter.next() {
            if *item > 3 {
                break;
            }
        }
        for rest in iter {
            self.total += rest;
        }
        let mut peekable = numbers(4).peekable();
        for n in peekable.by_ref() {
            if n == 2 {
                break;
            }
        }
        for n in &mut peekable {
            self.total += n;
        }
        loop {
            let Some(name) = self.names.keys().next().cloned() else { break };
            self.names.remove(&name);
            self.map.insert(name, kept.len() as u32);
        }
        self.total += length as u32;
        let Self { items, names, .. } = self;
        for (item, list) in items.iter().zip(names.values_mut()) {
            list.push(*item);
        }
    }

    fn closures(&self, up_to: u32) -> Vec<u32> {
        let add = |list: &[u32]| {
            let mut sum = 0;
            for n in list {
                sum += n;
            }
            sum
        };
        let later = |items| {
            let mut all = Vec::new();
            for item in items {
                all.push(item);
            }
            all
        };
        let make = || Default::default();
        let made: u32 = make();
        let seconds: Vec<u64> = self.items.iter().map(|n| From::from(*n)).collect();
        let parsed = ["1", "2"].iter().map(|text| parse(text).unwrap_or_default()).collect::<Vec<u32>>();
        let nested = (0..up_to).flat_map(|n| numbers(n).map(move |m| n + m)).collect::<Vec<_>>();
        let mut log = Vec::new();
        let mut note = |text: &str| log.push(text.to_owned());
        note("a");
        note("b");
        let total = apply(vec![1, 2], |list| list.iter().sum()) + add(&parsed) + made;
        let keys = |map: &BTreeMap<String, Vec<u32>>| map.values().flatten().copied().collect::<Vec<_>>();
        let mut all = later(vec![total, log.len() as u32, seconds.len() as u32]);
        all.extend(keys(&self.names));
        all.extend(nested);
        let by_move = move || all.iter().copied().map(|n| n + 1).collect();
        by_move()
    }

    async fn step(&mut self, n: u32) -> u32 {
        workflow::sleep(secs(1)).await;
        let formatted = format!("{} {:?} {}", made::<u32>(), square(), self.items.iter().max().unwrap_or(&n));
        let listed = vec![made::<u32>(), formatted.len() as u32];
        if matches!(self.items.iter().next(), Some(1)) { listed[0] } else { listed.into_iter().sum() }
    }

    fn countdown(&mut self, n: u32) -> std::pin::Pin<Box<dyn workflow::WorkflowFuture<Output = u32>>> {
        let next = n.checked_sub(1);
        Box::pin(async move {
            match next {
                Some(n) => self.countdown(n).await + 1,
                None => return self.total,
            }
        })
    }

    #[query]
    fn either(&self, left: bool) -> u32 {
        match left {
            true => return self.total,
            false => return self.items.iter().sum(),
        }
    }

    #[query]
    fn endless(&self) -> u32 {
        let mut numbers = self.items.iter();
        loop {
            if numbers.next().is_none() {
                return self.total;
            }
        }
    }

    #[query]
    fn lint_level(&self) -> Vec<u32> {
        #[allow(clippy::map_identity)]
        self.items.iter().map(|n| *n).collect()
    }

    #[signal]
    fn nothing(&mut self) {
        for item in self.items.iter() {
            self.total += item;
        }
    }

    #[signal]
    fn branches(&mut self) {
        if self.total > 3 {
            for item in self.items.drain(..) {
                self.total += item;
            }
        } else {
            self.items.iter_mut().for_each(|item| *item += 1)
        }
    }
}

#[workflow::helper]
fn descend(n: u32) -> std::pin::Pin<Box<dyn workflow::WorkflowFuture<Output = u32>>> {
    Box::pin(async move {
        if n == 0 {
            return 0;
        }
        let below = descend(n - 1);
        let mut sum = 0;
        for part in [below.await].into_iter() {
            sum += part;
        }
        sum
    })
}

fn main() {
    let _ = (Nasty::run, stored_types);
}
