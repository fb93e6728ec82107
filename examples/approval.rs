//! A human in the loop: an expense waits for a decision, and goes up a level after days without one.
//!
//! ```sh
//! cargo run --example approval                 # asks, and waits
//! cargo run --example approval -- grant boss   # decides, from another terminal: `grant` or `refuse`, and who
//! ```
//!
//! In the program a day takes a second. Kill it at any time and run it again: the days that have passed are
//! not waited for again. `APPROVAL_DIR` is the folder of its database. Default: `target/approval`.

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Who is asked, one after the other.
const LEVELS: [&str; 3] = ["boss", "director", "board"];

const EXPENSE: &str = "expense-1";

/// In this program's time.
const TWO_DAYS: Duration = secs(2);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Expense {
    by: String,
    what: String,
    cents: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Decision {
    by: String,
    granted: bool,
}

#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum NotAllowed {
    #[error("{0} was not asked")]
    NotAsked(String),
    #[error("{0} has decided before")]
    Decided(String),
}

#[derive(Default)]
struct Approval {
    /// How many of `LEVELS` were asked.
    asked: usize,
    decision: Option<Decision>,
}

#[activity(start_to_close = "30s")]
async fn mail(to: String, text: String) {
    println!("mail to {to}: {text}");
}

#[workflow]
impl Approval {
    /// `patience` is how long each level may take. `None`: no level has decided.
    #[run]
    async fn run(&mut self, expense: Expense, patience: Duration) -> Result<Option<Decision>, Failure> {
        for level in LEVELS {
            self.asked += 1;
            mail(
                level.into(),
                format!("may {} buy {} for {} cents?", expense.by, expense.what, expense.cents),
            )
            .await?;
            // A durable timer: it costs nothing while it runs, and survives every restart.
            if workflow::until!(self.decision.is_some()).timeout(patience).await.is_ok() {
                break;
            }
        }
        let text = match &self.decision {
            Some(Decision { by, granted: true }) => format!("{by} has granted {}", expense.what),
            Some(Decision { by, .. }) => format!("{by} has refused {}", expense.what),
            None => format!("no decision about {}: ask again", expense.what),
        };
        mail(expense.by, text).await?;
        Ok(self.decision.clone())
    }

    /// The answer says that it counts. What the validator refuses leaves nothing in the history.
    #[update(validate = Self::may_decide)]
    fn decide(&mut self, by: String, granted: bool) -> Result<Decision, NotAllowed> {
        let decision = Decision { by, granted };
        self.decision = Some(decision.clone());
        Ok(decision)
    }

    fn may_decide(&self, by: &str, _granted: &bool) -> Result<(), NotAllowed> {
        match &self.decision {
            Some(earlier) => Err(NotAllowed::Decided(earlier.by.clone())),
            None if !LEVELS[..self.asked].contains(&by) => Err(NotAllowed::NotAsked(by.to_owned())),
            None => Ok(()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::var_os("APPROVAL_DIR").map_or_else(|| "target/approval".into(), PathBuf::from);
    std::fs::create_dir_all(&dir)?;
    let abide = Abide::open(dir.join("approval.db")).await?;
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => submit(&abide).await,
        (Some("grant"), Some(by)) => decide(&abide, by, true).await,
        (Some("refuse"), Some(by)) => decide(&abide, by, false).await,
        _ => Err("say nothing, or `grant WHO`, or `refuse WHO`".into()),
    }
}

/// Asks for an expense, or waits for the one that an earlier run of this program has asked for.
async fn submit(abide: &Abide) -> Result<(), Box<dyn std::error::Error>> {
    let worker = abide.worker("approvals").workflow(Approval::run).activity(mail).start().await?;
    let expense = Expense { by: "Ada".into(), what: "a lathe".into(), cents: 980_000 };
    let start = abide.client().start(Approval::run(expense, TWO_DAYS)).id(EXPENSE);
    let approval = start.id_conflict_policy(IdConflictPolicy::UseExisting).await?;
    tokio::select! {
        decision = approval.result() => println!("decision: {:?}", decision?),
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    Ok(worker.shutdown().await?)
}

/// A client needs no worker in its process: the worker of `submit` runs the handler.
async fn decide(abide: &Abide, by: String, granted: bool) -> Result<(), Box<dyn std::error::Error>> {
    let approval = abide.client().handle::<Approval>(EXPENSE);
    println!("{:?}", approval.decide(by, granted).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn the_director_decides_on_the_third_day() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let mails = mock(mail, |_to: String, _text: String| ());
        let worker = env.worker("approvals").workflow(Approval::run).mock(&mails).start().await?;

        let expense = Expense { by: "Ada".into(), what: "a lathe".into(), cents: 980_000 };
        let approval = env.client().start(Approval::run(expense.clone(), days(2))).await?;
        let early = env.after(days(1), approval.decide("director".into(), false));
        let in_time = env.after(days(3), approval.decide("director".into(), true));
        let decision = Some(Decision { by: "director".into(), granted: true });
        assert_eq!(approval.result().await?, decision);
        assert_eq!(in_time.await?.ok(), decision);
        assert_eq!(early.await?.unwrap_err().said(), Some(&NotAllowed::NotAsked("director".into())));
        let to: Vec<_> = mails.calls().into_iter().map(|(to, _)| to).collect();
        assert_eq!(to, ["boss", "director", "Ada"]);

        let began = env.now();
        let approval = env.client().start(Approval::run(expense, days(2))).await?;
        assert_eq!(approval.result().await?, None);
        assert_eq!(env.now().duration_since(began).as_hours(), 3 * 2 * 24);
        Ok(worker.shutdown().await?)
    }
}
