//! What handlers may do, without warnings: a query computes as it likes, a signal may spawn.
#![deny(warnings)]

use abide::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

#[derive(Default)]
struct Order {
    asked: Cell<u32>,
    log: RefCell<Vec<String>>,
    items: BTreeMap<String, u32>,
}

#[activity]
async fn rate(n: u32) -> u32 {
    n
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) {}

    #[query]
    fn total(&self, by: u32) -> Result<u32, Failure> {
        self.asked.set(self.asked.get() + 1);
        self.log.borrow_mut().push(String::new());
        let mut sum = 0;
        self.items.values().for_each(|n| sum += n);
        let _ = self.items.get("x");
        let _ = checked(1)?;
        drop(vec![1]);
        identity(3);
        let parsed = "3".parse();
        let empty = Vec::new();
        let now = workflow::now();
        let mut all = empty;
        all.push(sum + parsed.unwrap_or(by));
        self.touch();
        if by > 100 {
            stop();
        }
        assert!(now.as_second() >= 0, "{}", workflow::info().workflow_id);
        Ok(all[0])
    }

    #[query]
    fn never(&self) -> u32 {
        let never = || -> u32 { unreachable!() };
        if self.asked.get() > 3 { never() } else { stop() }
    }

    fn touch(&self) {
        self.asked.set(0);
    }

    #[signal]
    fn nothing(&mut self) -> () {}

    #[signal]
    fn start(&mut self, n: u32) {
        workflow::spawn(async move {
            let rated = rate(n).await;
            self.items.insert(String::new(), rated.unwrap_or(0));
        });
    }
}

fn stop() -> ! {
    panic!("a query may fail")
}

fn identity<T>(value: T) -> T {
    value
}

fn checked(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

fn main() {
    let _ = Order::run;
}
