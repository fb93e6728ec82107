//! The escape hatches: an allowed expression is the bare expression, anywhere.
#![deny(warnings)]

use abide::prelude::*;

#[activity]
async fn rate(n: u32) -> u32 {
    n
}

#[derive(Default)]
struct Order {
    name: String,
    items: Vec<u32>,
}

fn length(text: &str) -> usize {
    text.len()
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        // Awaits, the state and `?` in it; the state's places are hoisted around it.
        let one = workflow::allow!("a test", self.next().await?);
        self.items.push(workflow::allow!("a test", rate(one).await?));
        workflow::allow!("a statement", self.items.clear());
        if workflow::allow!("a test", self.name.is_empty()) {
            return workflow::allow!("a test", Ok(1));
        }
        // A temporary that it borrows from lives as long as the statement.
        let home = length(workflow::allow!("only logged", std::env::var("HOME").as_deref().unwrap_or("none")));
        let kept = &workflow::allow!("a literal", [1_u8, 2]);
        let parsed: u8 = workflow::allow!("typed from outside", "3".parse())?;
        let closure: Box<dyn Fn(u32) -> u32> = workflow::allow!("coerced", Box::new(|n: u32| n + 1));
        let nested = workflow::allow!("outer", workflow::allow!("inner", 1 + 1),);
        let moved = workflow::allow!("moves", std::mem::take(&mut self.name));
        let future = workflow::allow!("not awaited yet", rate(3));
        let awaited = future.await?;
        let known = workflow::assume_deterministic("ready at once", std::future::ready(1)).await;
        Ok(awaited + known + nested + closure(1) + (home + kept.len() + moved.len()) as u32 + u32::from(parsed))
    }

    async fn next(&mut self) -> Result<u32, CallError> {
        self.items.push(1);
        rate(1).await
    }

    #[query]
    fn name(&self) -> String {
        workflow::allow!("a copy", self.name.clone())
    }
}

fn outside() -> Option<String> {
    workflow::allow!("in any code", std::env::var("HOME").ok())
}

fn main() {
    let _ = Order::run;
    let _ = outside;
}
