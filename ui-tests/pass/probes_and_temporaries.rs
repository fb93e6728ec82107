//! Lawful code that value probes must leave alone: temporaries that live on, and constants.
#![deny(warnings)]
use abide::prelude::*;
#[derive(Clone, Default)]
struct Foo {
    list: Vec<u32>,
    name: String,
}
impl Foo {
    fn me(&self) -> &Foo {
        self
    }
    fn boxed(self) -> Box<Foo> {
        Box::new(self)
    }
    fn tup(&self) -> (u32, String) {
        (1, self.name.clone())
    }
}
fn make() -> Foo {
    Foo::default()
}
fn make_n(n: u32) -> Foo {
    Foo { list: vec![n], name: String::new() }
}
#[workflow::helper]
fn temps(n: u32) -> usize {
    let name = &make().name;
    let list = &mut make_n(n).list;
    list.push(1);
    let Foo { list: l, .. } = &make_n(n);
    let Foo { name: ref other, .. } = make_n(n);
    let z = &*make().boxed();
    let y = make().me().list.len();
    let (a, b) = &make_n(2).tup();
    let q = match &make_n(3).list[..] {
        [x, ..] => *x,
        [] => 0,
    };
    let w = if let [x] = make_n(4).list.as_slice() { *x } else { 0 };
    let v = match make_n(1).tup() {
        (n, s) if s.is_empty() => n,
        (_, s) => s.len() as u32,
    };
    let u = {
        let f = &make();
        f.list.len()
    };
    name.len()
        + other.len()
        + list.len()
        + l.len()
        + z.list.len()
        + y
        + *a as usize
        + b.len()
        + (q + w + v) as usize
        + u
}
const fn cst() -> usize {
    3
}
#[workflow::helper]
fn consts() -> usize {
    const N: usize = cst();
    static S: [u8; cst()] = [0; cst()];
    let a = [0u8; cst()];
    let b: [u8; cst()] = [1; { cst() }];
    fn inner(v: &[u8]) -> Option<&u8> {
        v.iter().next()
    }
    struct L([u8; cst()]);
    let c = const { cst() };
    let m = match 3 {
        x if x == cst() => 1,
        1..=2 => 2,
        _ => 3,
    };
    N + S.len() + a.len() + b.len() + inner(&a).map_or(0, |n| *n as usize) + L([0; cst()]).0.len() + c + m
}
fn main() {
    let _ = (temps(1), consts());
}
