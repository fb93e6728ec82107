//! Every form of the state hand-over in one workflow.

use abide::prelude::*;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

type Res<T> = Result<T, PayError>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payment {
    pub cents: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    pub id: String,
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum PayError {
    #[error("declined {0}")]
    Declined(u32),
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum LabelError {
    #[error("no paper")]
    NoPaper,
}

/// Charges.
#[activity(start_to_close = "30s", retry(max_attempts = 3), retry_if = |e| !matches!(e, PayError::Declined(_)))]
pub async fn charge(payment: Payment) -> Res<Receipt> {
    Ok(Receipt { id: payment.cents.to_string() })
}

#[activity(schedule_to_close = "1h", retry_after = |_| None, cancellation = "wait")]
pub async fn label(address: String) -> Result<String, LabelError> {
    if address.is_empty() { Err(LabelError::NoPaper) } else { Ok(address) }
}

#[activity(name = "rate", task_queue = "pricing")]
pub async fn rate(a: u32, b: u32) -> f64 {
    f64::from(a) + f64::from(b)
}

pub struct Payments {
    key: String,
}

#[activity(start_to_close = "5s")]
impl Payments {
    /// Refunds.
    pub async fn refund(&self, r: Receipt) -> Res<u32> {
        self.log();
        Err(PayError::Declined(r.id.len() as u32))
    }

    #[activity(start_to_close = "9s", name = "twice")]
    pub async fn both(&self, r: Receipt) -> Res<u32> {
        self.refund(r.clone()).await?;
        self.refund(r).await
    }

    fn log(&self) {
        println!("{}", self.key);
    }
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum OrderFailed {
    #[error(transparent)]
    Pay(#[from] ActivityError<PayError>),
    #[error(transparent)]
    Label(#[from] ActivityError<LabelError>),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("late")]
    Late,
}

#[derive(Default)]
pub struct Order {
    approved: Option<bool>,
    items: Vec<u32>,
    total: f64,
    name: String,
    log: Vec<String>,
    map: BTreeMap<String, String>,
    n: u32,
    opt: Option<u32>,
}

#[workflow]
impl Order {
    pub const LIMIT: u32 = 3;

    /// Runs.
    #[run]
    pub async fn run(&mut self, payment: Payment, mut address: String) -> Result<String, OrderFailed> {
        self.items = vec![1, 2, 3];
        for i in &self.items {
            self.n += i;
        }
        workflow::sleep(secs(1)).await;
        let receipt = charge(payment.clone()).start_to_close(secs(5)).await?;
        self.hoisted(receipt).await?;
        address.push('x');
        let (a, b) = workflow::try_join!(charge(payment.clone()), label(address.clone()))?;
        let same: Result<(Receipt, Receipt), ActivityError<PayError>> =
            workflow::try_join!(charge(payment.clone()), charge(payment.clone()));
        let (c, ()) = workflow::join!(self.step_a(1), self.step_b());
        self.blocks().await;
        self.control_flow().await;
        let decided = workflow::until!(self.approved.is_some() && c > 0).timeout(days(3)).await;
        if decided.is_err() {
            return Err(OrderFailed::Late);
        }
        let got = workflow::select! {
            r = charge(payment.clone()) => { self.step_b().await; r?.id }
            Ok(l) = label(address.clone()), if self.n > 0 => l,
            () = workflow::sleep(mins(3)) => { self.n += 1; return Err(OrderFailed::Late) }
            else => String::new(),
        };
        let r = Payments::refund(a).await;
        let t = self.twice(&format!("{c}")).await;
        let rec = self.rec(3).await;
        Ok(format!("{b}{}{got}{r:?}{t}{rec}{}", same.is_ok(), Self::LIMIT))
    }

    async fn hoisted(&mut self, receipt: Receipt) -> Result<(), OrderFailed> {
        self.log.push(label(receipt.id.clone()).await?);
        self.map.insert(receipt.id.clone(), label(receipt.id).await?);
        self.name += &label(self.name.clone()).await?;
        self.total += rate(1, 2).await?;
        self.items[0] = self.step_a(3).await;
        self.helper(rate(1, 2).await?);
        add(&mut self.total, rate(1, 2).await?);
        let _ = format!("{} {}", self.name, self.step_a(1).await);
        let x = vec![self.step_a(1).await, self.n];
        let y = rate(1, 2).await? + self.total;
        let _ = format!("{x:?} {y}");
        Ok(())
    }

    async fn blocks(&mut self) -> u32 {
        let e = async {
            self.n += 1;
            self.step_b().await;
            self.n
        }
        .await;
        let f = workflow::join!(
            async {
                self.n += 1;
                rate(1, 1).await
            },
            self.step_a(1),
            async move {
                self.total += 1.0;
                self.step_b().await;
            }
        );
        let mut closure = |k: u32| {
            self.n += k;
            self.n
        };
        closure(2);
        let _ = rate(1, 1).await;
        let blocks = [1u32, 2].map(|k| async move {
            self.n += k;
            self.step_a(k).await
        });
        let s: Vec<u32> = futures::future::join_all(blocks).await;
        let task = workflow::spawn(async move {
            self.n += 1;
            self.step_a(5).await
        });
        let v = task.await;
        let all = futures::future::join_all(self.items.iter().map(|i| self.step_a(*i))).await;
        let mut unordered: futures::stream::FuturesUnordered<_> = (0..3).map(|i| rate(i, i)).collect();
        while let Some(rate) = unordered.next().await {
            self.total += rate.unwrap_or(0.0);
        }
        let buffered: Vec<_> = futures::stream::iter((0..3).map(|i| rate(i, i))).buffered(2).collect().await;
        e + f.1 + s[0] + v.unwrap_or(0) + all[0] + buffered.len() as u32
    }

    async fn control_flow(&mut self) {
        while let Some(item) = self.items.pop() {
            if item == 2 {
                continue;
            }
            match self.opt.take() {
                Some(v) => {
                    self.step_a(v).await;
                }
                None => self.step_b().await,
            }
        }
        if let Some(x) = self.opt.as_ref() {
            let _ = rate(*x, *x).await;
        }
        'outer: loop {
            loop {
                if self.n > 3 {
                    break 'outer;
                }
                self.step_b().await;
                if self.step_a(1).await > 3 {
                    continue 'outer;
                }
            }
        }
        Self::step_b(self).await;
        let opt = self.opt;
        match opt {
            Some(z) if self.step_a(z).await > 1 => {}
            _ => {}
        }
        *self = Self::default();
        let Self { items, n, .. } = self;
        std::mem::swap(items, &mut vec![*n]);
    }

    async fn step_a(&mut self, n: u32) -> u32 {
        self.n += n;
        workflow::sleep(secs(1)).await;
        self.n
    }

    async fn step_b(&self) {
        workflow::sleep(secs(self.n.into())).await;
    }

    async fn twice(&self, s: &str) -> String {
        workflow::sleep(secs(1)).await;
        s.repeat(2)
    }

    fn rec(&mut self, n: u32) -> std::pin::Pin<Box<dyn workflow::WorkflowFuture<Output = u32>>> {
        Box::pin(async move {
            if n == 0 {
                return self.n;
            }
            self.n += 1;
            self.rec(n - 1).await
        })
    }

    fn helper(&mut self, by: f64) {
        self.total += by;
    }

    #[signal]
    fn approve(&mut self, yes: bool) {
        self.approved = Some(yes);
    }

    #[signal(name = "late-signal")]
    async fn late(&mut self, a: u32, b: u32) {
        self.n = a + b;
        if rate(a, b).await.is_ok() {
            self.n += 1;
        }
    }

    /// The status.
    #[query]
    fn status(&self) -> Option<bool> {
        self.approved
    }

    #[query]
    fn checked(&self, at_least: u32) -> Result<u32, OrderFailed> {
        if self.n < at_least { Err(OrderFailed::Late) } else { Ok(self.n) }
    }
}

fn add(total: &mut f64, by: f64) {
    *total += by;
}

impl Order {
    #[workflow::helper(state)]
    pub(crate) async fn elsewhere(&mut self) -> u32 {
        self.n += 1;
        self.step_a(1).await
    }
}

async fn client(client: Client) -> abide::Result<()> {
    let order = client.start(Order::run(Payment { cents: 1 }, String::new())).id("order-42").await?;
    order.approve(true).await?;
    let _status: Option<bool> = order.status().await?;
    let _checked: Result<u32, QueryError<OrderFailed>> = order.checked(3).await;
    order.late(1, 2).await?;
    let _: Result<String, WorkflowError<OrderFailed>> = order.result().await;
    Ok(())
}

fn register(abide: &Abide) {
    let _ = abide.worker("orders").workflow(Order::run).activity(charge).activity(label).activity(rate);
    let _ = abide.worker("payments").activities(Payments { key: String::new() });
}

fn is_send<T: Send>(_: T) {}

fn main() {
    let _ = |c: Client| is_send(client(c));
    let _ = register;
    let _ = Order::elsewhere;
    let _ = Payments::both;
}
