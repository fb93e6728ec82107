//! Lawful code that value probes must leave alone: associated types, trait objects, closures of every kind, and every
//! way in which a body can end.
#![deny(warnings)]
use abide::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::*;
use std::rc::Rc;

// generic context with borrowed iterators, trait objects, recursion, etc.
trait Source {
    type It<'a>: Iterator<Item = u32>
    where
        Self: 'a;
    fn iter(&self) -> Self::It<'_>;
    fn make() -> Self
    where
        Self: Sized;
}
struct S(Vec<u32>);
impl Source for S {
    type It<'a> = std::iter::Copied<std::slice::Iter<'a, u32>>;
    fn iter(&self) -> Self::It<'_> {
        self.0.iter().copied()
    }
    fn make() -> Self {
        S(vec![])
    }
}

#[workflow::helper]
fn gat<T: Source>(s: &T) -> u32 {
    let other = T::make();
    let mut n = 0;
    for x in s.iter() {
        n += x;
    }
    for x in other.iter().chain(s.iter()) {
        n += x;
    }
    for x in T::iter(s) {
        n += x;
    }
    let built = <T as Source>::make();
    n + built.iter().count() as u32
}

#[workflow::helper]
fn rec(n: u32) -> Box<dyn Iterator<Item = u32>> {
    if n == 0 {
        return Box::new(std::iter::empty());
    }
    let inner = rec(n - 1);
    Box::new(inner.chain(rec(n - 1)).chain([n]))
}

#[workflow::helper]
async fn arec(n: u32) -> u32 {
    let f = leaf(n);
    let b: std::pin::Pin<Box<dyn workflow::WorkflowFuture<Output = u32>>> = Box::pin(leaf(n));
    f.await + b.await
}
#[workflow::helper]
async fn leaf(n: u32) -> u32 {
    workflow::sleep(secs(1)).await;
    n
}

#[workflow::helper]
fn lifetimes<'a, 'b: 'a>(a: &'a [String], b: &'b BTreeMap<String, Vec<String>>) -> Vec<&'a str> {
    let mut out = Vec::new();
    for s in a.iter().chain(b.keys()) {
        out.push(s.as_str());
    }
    for (_, v) in b.iter() {
        for s in v.iter() {
            out.push(s.as_str());
        }
    }
    let cb = |m: &'b BTreeMap<String, Vec<String>>| -> Option<&'b String> { m.keys().next() };
    out.extend(cb(b).map(String::as_str));
    let longest = out.iter().max_by_key(|s| s.len()).copied();
    out.extend(longest);
    out
}

#[workflow::helper]
fn fnonce(v: Vec<u32>) -> impl FnOnce() -> Vec<u32> {
    let held = Rc::new(RefCell::new(v));
    let other = held.clone();
    move || {
        for x in other.borrow_mut().iter_mut() {
            *x += 1;
        }
        Rc::try_unwrap(held).map(RefCell::into_inner).unwrap_or_default().into_iter().collect()
    }
}

#[workflow::helper]
fn fnmut(list: &mut Vec<u32>) -> u32 {
    let mut total = 0;
    let mut f = |xs: &[u32]| {
        for x in xs.iter() {
            total += x;
            list.push(*x);
        }
        list.iter().next().is_some()
    };
    f(&[1]);
    f(&[2]);
    let sq: Vec<Box<dyn Fn(u32) -> u32>> =
        vec![Box::new(|x| [x, 1].iter().sum()), Box::new(move |x| x + total)];
    sq.iter().map(|f| f(1)).fold(0, |a, b| a + b)
}

#[workflow::helper]
fn sorts(mut v: Vec<(u32, String)>) -> Vec<String> {
    v.sort_by(|a, b| a.1.chars().rev().cmp(b.1.chars().rev()));
    let by: HashMap<u32, Vec<&String>> = v.iter().fold(HashMap::new(), |mut m, (k, s)| {
        m.entry(*k).or_insert_with(Vec::new).push(s);
        m
    });
    let mut keys: Vec<&u32> = by.keys().collect();
    keys.sort_unstable();
    keys.into_iter().flat_map(|k| by[k].iter().map(|s| s.to_string())).collect()
}

#[workflow::helper]
fn result_chain(text: &str) -> Result<Vec<u32>, std::num::ParseIntError> {
    let all = text.split(',').map(|s| s.trim().parse::<u32>()).collect::<Result<Vec<_>, _>>()?;
    let opt: Option<Vec<u32>> = all.iter().map(|n| n.checked_add(1)).collect();
    Ok(match opt {
        Some(v) => v.into_iter().rev().collect(),
        None => return "x".parse::<u32>().map(|n| vec![n]),
    })
}

#[workflow::deterministic("a cell of this thread, as a place to write to")]
fn cellp() -> &'static Cell<u32> {
    thread_local! { static C: &'static Cell<u32> = Box::leak(Box::new(Cell::new(0))); }
    C.with(|c| *c)
}
fn get<T>(v: &[T], i: usize) -> &T {
    &v[i]
}
fn get_mut<T>(v: &mut [T], i: usize) -> &mut T {
    &mut v[i]
}
fn opt_mut(v: &mut Vec<u32>) -> Option<&mut u32> {
    v.first_mut()
}
fn boxed<T>(t: T) -> Box<T> {
    Box::new(t)
}

#[workflow::helper]
fn places(v: &mut Vec<u32>) -> u32 {
    cellp().set(3);
    let a = *get(v, 0) + *get(&[1, 2, 3], 1);
    *get_mut(v, 0) = a;
    if let Some(x) = opt_mut(v) {
        *x += 1;
    }
    while let Some(x) = opt_mut(v) {
        if *x > 3 {
            break;
        }
        *x += 1;
    }
    let Some(first) = opt_mut(v) else { return 0 };
    *first += 1;
    let moved = *boxed(String::from("x"));
    let t = &mut *boxed(3);
    *t += 1;
    let r: &dyn std::fmt::Debug = &get(v, 0);
    let len = format!("{r:?}{moved}").len() as u32 + *t;
    let s: &[u32] = &boxed([1, 2])[..];
    for (i, x) in s.iter().enumerate().skip(1) {
        if i == 0 {
            continue;
        }
        v.push(*x);
    }
    let x = 'l: {
        for y in v.iter() {
            if *y > 3 {
                break 'l *y;
            }
        }
        0
    };
    x + len
}

#[workflow::helper]
fn unit_tail(v: &mut Vec<u32>, o: Option<u32>) {
    for x in v.iter_mut() {
        *x += 1
    }
    match o {
        Some(n) => v.push(n),
        None => v.clear(),
    }
}
#[workflow::helper]
fn assign_tail(v: &mut [u32]) {
    let mut i = v.iter();
    i.next();
    v[0] = 3
}
#[workflow::helper]
fn block_tail(v: &[u32]) -> u32 {
    {
        let x = v.iter().skip(1).sum::<u32>();
        x
    }
}
#[workflow::helper]
fn while_tail(v: &mut Vec<u32>) {
    for _ in v.iter() {}
    while !v.is_empty() {
        v.pop();
    }
}
#[workflow::helper]
fn loop_value(v: &[u32]) -> u32 {
    let mut it = v.iter();
    loop {
        match it.next() {
            Some(n) if *n > 1 => break *n,
            Some(_) => continue,
            None => return 0,
        }
    }
}
#[workflow::helper]
fn question_tail(v: &[&str]) -> Option<u32> {
    let mut it = v.iter();
    it.next()?.parse().ok()
}
#[workflow::helper]
fn macro_tail(v: &[u32]) -> String {
    let mut it = v.iter();
    it.next();
    format!("{:?}", it.next())
}
#[workflow::helper]
fn panics(v: &[u32]) -> u32 {
    for _ in v.iter() {}
    panic!("no")
}
#[workflow::helper]
fn unsafe_tail(v: &[u32]) -> u32 {
    for _ in v.iter() {}
    if v.is_empty() {
        1
    } else {
        match v.len() {
            1 => return 2,
            _ => return 3,
        }
    }
}

#[workflow]
async fn flow(n: u32) -> Result<u32, Failure> {
    let list = vec![n; 3];
    let futs = list.iter().map(|n| async move {
        let mut s = 0;
        for x in [*n].iter() {
            s += x;
            leaf(*x).await;
        }
        s
    });
    let all = futures::future::join_all(futs).await;
    let (a, b) = workflow::join!(
        async {
            for _ in list.iter() {
                leaf(1).await;
            }
            list.len()
        },
        async { list.iter().sum::<u32>() }
    );
    let got = workflow::select! { x = leaf(1) => { let mut t = x; for y in list.iter() { t += y; } t }, y = leaf(2), if list.iter().any(|x| *x > 1) => y };
    let task = workflow::spawn({
        let list = list.clone();
        async move {
            let mut r = Vec::new();
            for x in list.into_iter() {
                r.push(leaf(x).await);
            }
            r
        }
    });
    let r = task.await?;
    let parsed: Result<Vec<u8>, _> = ["1"].iter().map(|s| s.parse::<u8>()).collect();
    Ok(all.into_iter().sum::<u32>() + a as u32 + b + got + r.len() as u32 + u32::from(parsed?.len() as u8))
}

fn main() {
    let _ = (
        gat::<S>,
        rec,
        arec(1),
        lifetimes,
        sorts,
        result_chain,
        places,
        unit_tail,
        assign_tail,
        block_tail,
        while_tail,
        loop_value,
        question_tail,
        macro_tail,
        panics,
        unsafe_tail,
        flow,
        fnmut,
    );
    let _ = fnonce(vec![])();
}
