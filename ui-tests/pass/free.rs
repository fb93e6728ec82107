//! Free-function workflows, helpers of every kind, and private types without warnings.
#![deny(warnings)]

use abide::prelude::*;
use workflow::WorkflowFuture;

#[derive(serde::Serialize, serde::Deserialize)]
struct Private {
    n: u32,
}

#[activity]
async fn rate(n: Private) -> u32 {
    n.n
}

struct Host;

#[activity]
impl Host {
    pub async fn private(&self, n: Private) -> Private {
        n
    }
}

/// Any future that a workflow may await.
#[workflow::helper]
async fn twice<F, T>(make: impl Fn(u32) -> F) -> Vec<T>
where
    F: WorkflowFuture<Output = T>,
{
    vec![make(1).await, make(2).await]
}

#[workflow::helper]
async fn longest<'a>(a: &'a str, b: &'a str) -> &'a str {
    workflow::sleep(secs(1)).await;
    if a.len() > b.len() { a } else { b }
}

#[workflow::helper]
async fn echo(text: &str) -> &str {
    workflow::sleep(secs(1)).await;
    text
}

#[workflow::helper]
mod helpers {
    use super::{Private, rate};
    use abide::CallError;

    pub async fn one(n: u32) -> Result<u32, CallError> {
        rate(Private { n }).await
    }

    pub fn two(n: u32) -> u32 {
        n + 2
    }

    pub mod deeper {
        pub struct Table(pub u32);

        impl Table {
            pub async fn later(&self) {
                abide::workflow::sleep(abide::prelude::secs(1)).await;
            }
        }
    }
}

#[workflow::deterministic("a pure function of its argument")]
fn table(n: u32) -> u32 {
    n * 2
}

#[workflow(name = "nightly")]
async fn nightly_report(day: u32, mut left: u32) -> Result<u32, Failure> {
    let parsed: u32 = "12".parse()?;
    let one = helpers::one(day).await?;
    let sums = twice(|n| async move { helpers::one(n).await.unwrap_or(0) }).await;
    let words = longest(echo("a").await, &format!("{day}")).await.len();
    while left > 0 {
        left -= 1;
        workflow::select! {
            _ = workflow::sleep(secs(1)) => break,
            n = rate(Private { n: left }) => { n?; }
        }
    }
    let Private { n } = Host::private(Private { n: 1 }).await?;
    Ok(parsed + one + sums.len() as u32 + words as u32 + helpers::two(n) + table(1))
}

#[workflow]
async fn nothing() {}

#[derive(Default)]
struct Empty;

#[workflow]
impl Empty {
    #[run]
    async fn run(&self) {}
}

fn main() {
    let _ = |abide: &Abide| {
        let _ =
            abide.worker("q").workflow(nightly_report).workflow(nothing).workflow(Empty::run).activity(rate);
        let _ = abide.worker("q").activities(Host);
    };
    let _ = |client: &Client| client.handle::<nightly_report>("n");
    let _ = helpers::deeper::Table(1).0;
}
