//! A subscription that lives for years: it is billed once a month, in a chain of runs with short histories.
//!
//! ```sh
//! cargo run --example subscription                  # a year, of short months
//! cargo run --example subscription -- change Team   # from another terminal: `change PLAN`, or `cancel`
//! ```
//!
//! Kill it at any time and run it again: no month is paid twice, and no signal is lost, also where it comes
//! between two runs of the chain.
//!
//! `SUBSCRIPTION_DIR` is the folder of its database and of the bank's books. Default: `target/subscription`.
//! Delete it to subscribe again.

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const QUEUE: &str = "subscriptions";

const ID: &str = "subscription-of-ada";

/// After so many months a run ends, and the next one goes on with an empty history.
const MONTHS_OF_A_RUN: u32 = 5;

/// In this program's time.
const MONTH: Duration = millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Plan {
    Solo,
    Team,
}

impl Plan {
    fn cents(self) -> u64 {
        match self {
            Self::Solo => 900,
            Self::Team => 2_900,
        }
    }
}

/// What one run hands on to the next: its arguments are all that it begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Account {
    customer: String,
    plan: Plan,
    month: Duration,
    paid_months: u32,
    paid_cents: u64,
}

struct Subscription {
    account: Account,
    cancelled: bool,
}

#[workflow]
impl Subscription {
    #[init]
    fn new(account: Account) -> Self {
        Self { account, cancelled: false }
    }

    #[run]
    async fn run(&mut self, _account: Account) -> Result<Account, Failure> {
        for _ in 0..MONTHS_OF_A_RUN {
            let (month, cents) = (self.account.paid_months + 1, self.account.plan.cents());
            Bank::charge(self.account.customer.clone(), month, cents).await?;
            self.account.paid_months = month;
            self.account.paid_cents += cents;

            // The month ends at its time, or earlier by a cancel.
            let _ = workflow::until!(self.cancelled).timeout(self.account.month).await;
            if self.cancelled {
                return Ok(self.account.clone());
            }
        }
        // Nothing is awaited after the last look at the state, so no signal that a handler took is forgotten.
        // What has not been delivered to this run moves to the next one.
        workflow::continue_as_new(Self::run(self.account.clone())).await
    }

    /// Counts from the next month on.
    #[signal]
    fn change_plan(&mut self, plan: Plan) {
        self.account.plan = plan;
    }

    #[signal]
    fn cancel(&mut self) {
        self.cancelled = true;
    }

    #[query]
    fn account(&self) -> Account {
        self.account.clone()
    }
}

/// The fake bank. Its books are a folder with a file for each charge, which the idempotency key names: a charge
/// that is asked for again after a kill is the same one.
struct Bank {
    books: PathBuf,
}

#[activity(start_to_close = "30s", retry(initial_interval = "200ms"))]
impl Bank {
    /// A plain `fn`, because it waits for a file: it runs on the blocking pool.
    #[activity]
    fn charge(&self, customer: String, month: u32, cents: u64) -> Result<(), Failure> {
        let key = activity::context().idempotency_key().replace('/', "-");
        fs::write(self.books.join(key), format!("{customer} {month} {cents}\n"))?;
        println!("month {month}: {cents} cents of {customer}");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir =
        std::env::var_os("SUBSCRIPTION_DIR").map_or_else(|| "target/subscription".into(), PathBuf::from);
    fs::create_dir_all(dir.join("books"))?;
    let abide = Abide::open(dir.join("subscription.db")).await?;
    let subscription = abide.client().handle::<Subscription>(ID);
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next().as_deref()) {
        (None, _) => a_year(&abide, &dir.join("books")).await?,
        (Some("change"), Some("Solo")) => subscription.change_plan(Plan::Solo).await?,
        (Some("change"), Some("Team")) => subscription.change_plan(Plan::Team).await?,
        (Some("cancel"), None) => subscription.cancel().await?,
        _ => return Err("say nothing, or `change Solo`, or `change Team`, or `cancel`".into()),
    }
    Ok(())
}

async fn a_year(abide: &Abide, books: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let worker = abide.worker(QUEUE).workflow(Subscription::run).activities(Bank { books: books.into() });
    let worker = worker.start().await?;
    let account =
        Account { customer: "Ada".into(), plan: Plan::Solo, month: MONTH, paid_months: 0, paid_cents: 0 };
    // The same request id for each run of this program: the one subscription, also after its end.
    let start = abide.client().task_queue(QUEUE).start(Subscription::run(account)).id(ID).request_id(ID);
    let subscription = start.await?;
    tokio::select! {
        ended = subscription.result() => {
            let account = ended?;
            println!("paid: {} months, {} cents", account.paid_months, account.paid_cents);
            println!("in the bank's books: {} charges", fs::read_dir(books)?.count());
        }
        failed = wishes(&subscription) => match failed? {},
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    Ok(worker.shutdown().await?)
}

/// The customer wants another plan after four months, and none after a year. Each wish has a request id: it
/// is one signal, however often this program is run.
async fn wishes(subscription: &Handle<Subscription>) -> abide::Result<Infallible> {
    until_paid(subscription, 4).await?;
    subscription.change_plan(Plan::Team).request_id("to-team").await?;
    until_paid(subscription, 12).await?;
    subscription.cancel().request_id("the-end").await?;
    std::future::pending().await
}

async fn until_paid(subscription: &Handle<Subscription>, months: u32) -> abide::Result<()> {
    while subscription.account().await?.paid_months < months {
        tokio::time::sleep(MONTH / 8).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    fn ada() -> Account {
        Account { customer: "Ada".into(), plan: Plan::Solo, month: days(30), paid_months: 0, paid_cents: 0 }
    }

    #[tokio::test]
    async fn a_year_is_twelve_charges_in_three_runs() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let charges = mock(Bank::charge, |_customer: String, _month: u32, _cents: u64| Ok(()));
        let charges = charges.fail(3, Failure::new("busy"));
        let worker = env.worker(QUEUE).workflow(Subscription::run).mock(&charges).start().await?;
        let subscription = env.client().start(Subscription::run(ada())).id(ID).await?;

        env.sleep(days(4 * 30 + 10)).await; // in the fifth month
        subscription.change_plan(Plan::Team).await?;
        env.sleep(days(7 * 30)).await;
        assert_eq!(subscription.account().await?.paid_months, 12);
        subscription.cancel().await?;
        let account = subscription.result().await?;
        assert_eq!((account.paid_months, account.paid_cents), (12, 5 * 900 + 7 * 2_900));
        charges.assert_called(3 + 12);
        let runs = env.client().list(ListFilter::new().id_prefix(ID)).await?.executions;
        assert_eq!(runs.len(), 3, "one workflow, a run for each five months");
        Ok(worker.shutdown().await?)
    }

    #[tokio::test]
    async fn a_signal_between_two_runs_is_not_lost() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let charges = mock(Bank::charge, |_customer: String, _month: u32, _cents: u64| Ok(()));
        let worker = env.worker(QUEUE).workflow(Subscription::run).mock(&charges).start().await?;
        let subscription = env.client().start(Subscription::run(ada())).await?;
        // At the moments at which one run ends and the next one begins.
        let change = env.after(days(5 * 30), subscription.change_plan(Plan::Team));
        let cancel = env.after(days(10 * 30), subscription.cancel());
        let account = subscription.result().await?;
        change.await??;
        cancel.await??;
        assert_eq!(account.plan, Plan::Team);
        assert!((10..=11).contains(&account.paid_months), "{account:?}");
        charges.assert_called(account.paid_months as usize);
        Ok(worker.shutdown().await?)
    }
}
