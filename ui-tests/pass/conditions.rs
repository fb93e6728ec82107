//! Conditions of `until!` that something may change, though `self` is not in them, or nowhere else.

use abide::prelude::*;
use std::cell::Cell;
use std::rc::Rc;

#[derive(Default)]
struct Order {
    count: Rc<Cell<u32>>,
    approved: bool,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        let count = self.count.clone();
        let limit = 3;
        workflow::until!(count.get() > limit).await;
        workflow::until!({
            let seen = count.get();
            seen > limit
        })
        .await;
        self.apart(count).await
    }

    /// Its condition alone is about the state.
    async fn apart(&self, count: Rc<Cell<u32>>) -> u32 {
        workflow::until!(count.get() > 5).await;
        count.get()
    }

    async fn approved(&self) {
        workflow::until!(self.approved).await;
    }

    #[signal]
    async fn add(&mut self) {
        self.count.set(self.count.get() + 1);
        self.approved().await;
    }
}

#[derive(Default)]
struct Waits;

#[workflow]
impl Waits {
    #[run]
    async fn run(&mut self) -> u32 {
        let ready = Rc::new(Cell::new(false));
        workflow::until!(ready.get()).timeout(secs(1)).await.map_or(0, |()| 1)
    }
}

fn main() {}
