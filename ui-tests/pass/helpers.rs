//! `#[workflow::helper]` wherever a function can stand, without warnings.
#![deny(warnings)]

use abide::prelude::*;
use std::fmt::{Debug, Display};
use std::rc::Rc;
use workflow::WorkflowFuture;

#[activity]
pub async fn price(sku: String) -> u32 {
    sku.len() as u32
}

/// A plain value: no workflow's state.
pub struct Pricing {
    currency: String,
    asked: u32,
}

impl Pricing {
    #[workflow::helper]
    pub fn new(currency: &str) -> Self {
        Self { currency: currency.to_owned(), asked: 0 }
    }

    #[workflow::helper]
    pub async fn quote(&self, sku: &str) -> Result<u32, CallError> {
        let one = price(sku.to_owned()).await?;
        // A borrow of `self` may live across an await: nobody hands it over.
        let currency = &self.currency;
        let two = price(currency.clone()).await?;
        Ok(one + two + currency.len() as u32)
    }

    #[workflow::helper]
    async fn count(&mut self, by: u32) -> u32 {
        self.asked += by;
        workflow::sleep(secs(1)).await;
        self.asked += 1;
        self.asked
    }

    #[workflow::helper]
    async fn currency(&self) -> &str {
        workflow::sleep(secs(1)).await;
        &self.currency
    }

    #[workflow::helper]
    async fn consume(mut self) -> String {
        self.currency.push('!');
        workflow::sleep(secs(1)).await;
        self.currency
    }

    #[workflow::helper]
    async fn shared(self: Rc<Self>) -> u32 {
        workflow::sleep(secs(1)).await;
        self.asked
    }

    #[workflow::helper]
    async fn zero() -> u32 {
        workflow::sleep(secs(1)).await;
        0
    }

    #[workflow::helper]
    fn later(&self, by: u32) -> impl WorkflowFuture<Output = u32> {
        async move {
            workflow::sleep(secs(1)).await;
            self.asked + by
        }
    }

    #[workflow::helper]
    fn boxed<'a>(&'a self, depth: u32) -> std::pin::Pin<Box<dyn WorkflowFuture<Output = u32> + 'a>> {
        Box::pin(async move {
            match depth {
                0 => self.asked,
                _ => self.boxed(depth - 1).await + 1,
            }
        })
    }

    #[workflow::helper]
    async fn race(&mut self, limit: u32) -> u32 {
        workflow::select! {
            n = price(self.currency.clone()) => { self.asked += n.unwrap_or(0); }
            () = workflow::sleep(secs(limit.into())) => self.asked = 0,
        }
        let (a, b) = workflow::join!(self.later(1), async { self.boxed(2).await });
        a + b
    }
}

/// A generic `impl`, marked as a whole.
#[derive(Default)]
pub struct Stack<T, const N: usize> {
    items: Vec<T>,
}

#[workflow::helper]
impl<T: Clone, const N: usize> Stack<T, N> {
    pub const LIMIT: usize = N;

    async fn push_after(&mut self, wait: std::time::Duration, item: T) -> Option<&T> {
        workflow::sleep(wait).await;
        if self.items.len() < Self::LIMIT {
            self.items.push(item);
        }
        self.items.last()
    }

    async fn map<'s, U, F>(&'s self, make: impl Fn(&'s T) -> F) -> Vec<U>
    where
        F: WorkflowFuture<Output = U>,
        T: 's,
    {
        let mut all = Vec::new();
        for item in &self.items {
            all.push(make(item).await);
        }
        all
    }

    fn len(&self) -> usize {
        self.items.len()
    }
}

#[workflow::helper]
async fn generic<'a, T: Debug + ?Sized, const N: usize>(what: &'a T, also: impl Display + 'a) -> String
where
    T: PartialEq<T>,
{
    workflow::sleep(secs(N as u64)).await;
    format!("{what:?} {also}")
}

#[workflow::helper]
async fn patterns((a, b): (u32, u32), [c, ..]: [u32; 2], Pricing { asked, .. }: &Pricing) -> u32 {
    workflow::sleep(secs(1)).await;
    a + b + c + asked
}

#[workflow::helper]
async fn opaque(n: u32) -> impl Iterator<Item = u32> {
    workflow::sleep(secs(1)).await;
    0..n
}

/// A trait, method by method.
pub trait Shipping {
    #[workflow::helper]
    async fn ship(&mut self, address: &str) -> u32;

    fn plan(&self) -> impl WorkflowFuture<Output = u32>;

    fn named<'a>(&'a self, _text: &str) -> impl WorkflowFuture<Output = &'a u32>;

    #[workflow::helper]
    async fn twice(&mut self, address: &str) -> u32 {
        self.ship(address).await + self.ship(address).await
    }

    #[workflow::helper]
    async fn none() -> u32
    where
        Self: Sized;
}

struct Van(u32);

impl Shipping for Van {
    #[workflow::helper]
    async fn ship(&mut self, address: &str) -> u32 {
        self.0 += price(address.to_owned()).await.unwrap_or(0);
        self.0
    }

    #[workflow::helper]
    fn plan(&self) -> impl WorkflowFuture<Output = u32> {
        async move {
            workflow::sleep(secs(1)).await;
            self.0
        }
    }

    #[workflow::helper]
    async fn named<'a>(&'a self, _text: &str) -> &'a u32 {
        workflow::sleep(secs(1)).await;
        &self.0
    }

    #[workflow::helper]
    async fn none() -> u32 {
        workflow::sleep(secs(1)).await;
        0
    }
}

/// A trait as a whole, and a generic `impl` of it.
#[workflow::helper]
trait Check<A> {
    const NAME: &'static str;
    async fn check(&self, what: A) -> bool;
    fn quick(&self) -> bool {
        true
    }
}

#[workflow::helper]
impl<A: PartialEq + Clone, T> Check<A> for Vec<(A, T)> {
    const NAME: &'static str = "list";
    async fn check(&self, what: A) -> bool {
        workflow::sleep(secs(1)).await;
        self.iter().any(|(a, _)| *a == what)
    }
}

#[workflow::helper]
async fn any_ship<S: Shipping>(ship: &mut S, checks: &impl Check<u32>) -> u32 {
    if checks.check(1).await && checks.quick() {
        return ship.plan().await + *ship.named("x").await;
    }
    ship.twice("x").await + S::none().await
}

/// Everything in it.
#[workflow::helper]
mod inside {
    use abide::prelude::*;

    pub async fn free(n: u32) -> u32 {
        workflow::sleep(secs(1)).await;
        n
    }

    pub struct Table(pub u32);

    impl Table {
        pub async fn later(&self) -> u32 {
            free(self.0).await
        }

        #[workflow::helper]
        pub async fn marked_twice(&mut self) {
            self.0 = self.later().await;
        }
    }

    pub trait Named {
        async fn name(&self) -> String;
    }

    impl Named for Table {
        async fn name(&self) -> String {
            self.later().await.to_string()
        }
    }

    impl std::fmt::Display for Table {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", self.0)
        }
    }

    pub mod deeper {
        use super::{Named, Table};

        pub async fn of(table: &Table) -> String {
            table.name().await
        }

        #[abide::activity]
        pub async fn not_a_helper(n: u32) -> u32 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            n
        }
    }

    #[workflow::deterministic("a table lookup")]
    pub async fn vouched(n: u32) -> u32 {
        free(n).await
    }
}

#[derive(Default)]
pub struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[run]
    pub async fn run(&mut self, sku: String) -> Result<u32, Failure> {
        let mut pricing = Pricing::new("eur");
        self.n += pricing.quote(&sku).await?;
        self.n += pricing.count(1).await;
        self.n += pricing.currency().await.len() as u32 + pricing.race(3).await;
        let (a, b) = workflow::join!(pricing.quote("a"), pricing.later(2));
        self.n += a? + b;
        self.n += Pricing::zero().await + pricing.consume().await.len() as u32;
        self.n += Rc::new(Pricing::new("chf")).shared().await;
        let mut stack = Stack::<u32, 3>::default();
        self.n += stack.push_after(secs(1), 3).await.copied().unwrap_or(0) + stack.len() as u32;
        self.n += stack.map(|n| inside::free(*n)).await.iter().sum::<u32>();
        let text = generic::<_, 2>("what", 3).await;
        self.n += patterns((1, 2), [3, 4], &Pricing::new("")).await + text.len() as u32;
        self.n += opaque(3).await.count() as u32;
        self.n += any_ship(&mut Van(1), &vec![(1, "one")]).await;
        self.n += <Vec<(u32, u32)> as Check<u32>>::NAME.len() as u32;
        let mut table = inside::Table(2);
        table.marked_twice().await;
        self.n += inside::deeper::of(&table).await.len() as u32 + inside::vouched(1).await;
        self.n += inside::deeper::not_a_helper(1).await? + table.to_string().len() as u32;
        Ok(self.elsewhere(1).await + self.checked(1))
    }

    #[workflow::deterministic("arithmetic")]
    fn checked(&self, n: u32) -> u32 {
        self.n + n
    }
}

/// More of the workflow's own methods, in a second `impl`.
impl Order {
    #[workflow::helper(state)]
    async fn elsewhere(&mut self, n: u32) -> u32 {
        workflow::until!(self.n > 0).await;
        self.n += n;
        self.again().await
    }
}

#[workflow::helper(state)]
impl Order {
    async fn again(&mut self) -> u32 {
        workflow::sleep(secs(1)).await;
        self.n
    }
}

fn main() {
    let _ = |abide: &Abide| {
        abide.worker("q").workflow(Order::run).activity(price).activity(inside::deeper::not_a_helper)
    };
}
