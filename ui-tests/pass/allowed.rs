//! What workflow code may do, of std and of common crates: pure computing, formatting, parsing, sorted maps, dates that are
//! given, everything of abide's own.
#![deny(warnings)]

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use workflow::WorkflowFuture;

const LIMITS: [u64; 3] = [1, 2, 3];
static NAMES: &[&str] = &["a", "b"];
static SQUARES: LazyLock<Vec<u64>> = LazyLock::new(|| (0..10).map(|n| n * n).collect());

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Item {
    name: String,
    cents: u64,
    #[serde(default)]
    tags: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum OrderError {
    #[error("nothing to do")]
    Empty,
    #[error(transparent)]
    Call(#[from] CallError),
}

#[activity]
async fn price(name: String) -> u64 {
    name.len() as u64
}

/// A pure trait of the user's own.
trait Priced {
    fn cents(&self) -> u64;

    fn with_tax(&self) -> u64 {
        self.cents() * 119 / 100
    }
}

impl Priced for Item {
    fn cents(&self) -> u64 {
        self.cents
    }
}

fn dearest<'a, T: Priced>(items: impl IntoIterator<Item = &'a T>) -> Option<&'a T>
where
    T: 'a,
{
    items.into_iter().max_by_key(|item| item.with_tax())
}

fn boxed(depth: u32) -> Pin<Box<dyn WorkflowFuture<Output = u32>>> {
    Box::pin(recursive(depth))
}

#[workflow::helper]
async fn recursive(depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    workflow::sleep(secs(1)).await;
    boxed(depth - 1).await + 1
}

fn later<'a>(text: &'a str) -> Pin<Box<dyn WorkflowFuture<Output = u32> + 'a>> {
    Box::pin(length(text))
}

#[workflow::helper]
async fn length(text: &str) -> u32 {
    workflow::sleep(secs(1)).await;
    text.len() as u32
}

#[derive(Default)]
struct Shop {
    items: Vec<Item>,
    by_name: BTreeMap<String, Item>,
    index: HashMap<String, usize>,
    seen: HashSet<String>,
    open: VecDeque<u64>,
}

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self, items: Vec<Item>) -> Result<String, OrderError> {
        self.items = items;
        self.items.sort();
        self.items.dedup_by(|a, b| a.name == b.name);
        let Some(first) = self.items.first().cloned() else { return Err(OrderError::Empty) };
        for (number, item) in self.items.iter().enumerate() {
            self.by_name.entry(item.name.clone()).or_default().cents += item.cents;
            self.index.insert(item.name.clone(), number);
            self.seen.insert(item.name.clone());
        }
        let known = self.index.get(&first.name).copied().unwrap_or(self.index.len());
        let known = known + usize::from(self.seen.contains(&first.name)) + self.seen.len();
        self.index.remove("x");
        self.index.entry("y".to_owned()).and_modify(|n| *n += 1).or_insert(1);
        while let Some(cents) = self.open.pop_front() {
            if cents == 0 {
                continue;
            }
            workflow::sleep(secs(cents)).await;
        }
        let total: u64 = self.by_name.values().map(|item| item.cents).sum();
        let priced = price(first.name.clone()).start_to_close(secs(5)).await?;
        let text = self.words(&first)?;
        let parts = pure(priced, total).unwrap_or_default();
        Ok(format!(
            "{known} {total:>8} {text:?} {parts:.2} {}",
            dearest(&self.items).map_or(0, Priced::cents)
        ))
    }

    fn words(&self, item: &Item) -> Result<String, OrderError> {
        let mut text = String::new();
        writeln!(text, "{:?} {:#x} {}", item, item.cents, env!("CARGO_PKG_NAME"))
            .map_err(|_| OrderError::Empty)?;
        assert!(!text.is_empty(), "{text}");
        debug_assert_eq!(LIMITS.len(), 3);
        text += concat!("a", stringify!(b), "c");
        text += if matches!(item.cents, 1..=3) { "few" } else { NAMES[0] };
        Ok(text.lines().rev().collect::<Vec<_>>().join("\n"))
    }

    #[signal]
    fn add(&mut self, item: Item) {
        self.open.push_back(item.cents);
        self.items.push(item);
    }

    #[query]
    fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }
}

fn pure(a: u64, b: u64) -> Result<f64, std::num::ParseFloatError> {
    let parsed: f64 = "1.5".parse()?;
    let shared = Arc::new(vec![a, b]);
    let cell = Rc::new(RefCell::new(Cell::new(Arc::strong_count(&shared))));
    cell.borrow().set(3);
    let heap: BinaryHeap<u64> = shared.iter().copied().chain(SQUARES.iter().copied()).collect();
    let cow: Cow<'_, str> = Cow::Borrowed("a");
    // A hasher without a seed: the same in each process.
    let mut hasher = DefaultHasher::new();
    (a, b, &*cow).hash(&mut hasher);
    let shuffled = hasher.finish() % 7;
    Ok(parsed + heap.into_sorted_vec().iter().sum::<u64>() as f64 + (a.pow(2) + shuffled) as f64)
}

/// Dates, times and ids that are given or computed, never asked for.
#[workflow]
async fn calendar(day: String, at: String) -> Result<String, Failure> {
    let day: chrono::NaiveDate = day.parse()?;
    let due = day + chrono::Days::new(14);
    let weekday = chrono::Datelike::weekday(&due);
    let hour = chrono::NaiveTime::from_hms_opt(9, 0, 0).unwrap_or_default();
    let at: jiff::Timestamp = at.parse()?;
    let span = jiff::Span::new().hours(3).minutes(20);
    let end = at.checked_add(span)?;
    let birthday = jiff::civil::date(2024, 2, 29).checked_add(jiff::Span::new().years(1))?;
    let wait = end.duration_since(workflow::now()).unsigned_abs();
    workflow::sleep(wait.min(tokio::time::Duration::from_secs(5))).await;
    workflow::sleep(std::time::Duration::from_millis(250) * 2).await;
    let id = uuid::Uuid::parse_str("67e55044-10b1-426f-9247-bb680e5fe0c8")?;
    let nil = uuid::Uuid::nil();
    let file: PathBuf = Path::new("orders").join(format!("{due}")).with_extension("json");
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let host: IpAddr = Ipv4Addr::LOCALHOST.into();
    let address: SocketAddr = format!("{host}:80").parse()?;
    let value: Vec<u32> = serde_json::from_str("[1, 2]")?;
    Ok(format!("{weekday} {due} {hour} {end} {birthday} {id} {nil} {name:?} {address} {value:?}"))
}

/// Everything of abide's own.
#[workflow]
async fn all_of_abide(n: u64) -> Result<u64, Failure> {
    let info = workflow::info();
    tracing::info!(id = %info.workflow_id, n, "begins");
    let dice = workflow::random_range(1..7) + workflow::random::<u64>() % 2;
    let coin: bool = workflow::random();
    let id = workflow::uuid();
    let started = workflow::now();
    let task = workflow::spawn(async move {
        workflow::sleep(secs(1)).await;
        n
    });
    let (a, ()) = workflow::join!(price("a".into()), workflow::sleep(secs(1)));
    let (b, c) = workflow::try_join!(price("b".into()), price("c".into()))?;
    let d = workflow::timeout(secs(5), price("d".into())).await.map_or(Ok(0), |priced| priced)?;
    let e = workflow::select! {
        e = price("e".into()) => e?,
        _ = workflow::sleep(secs(1)) => 0,
    };
    let all = futures::future::join_all((0..3).map(|n| price(n.to_string()))).await;
    let all: u64 = all.into_iter().collect::<Result<Vec<_>, _>>()?.iter().sum();
    let text = format!("{id} {coin} {started}");
    let rest = later(&text).await + recursive(3).await + boxed(1).await;
    let numbers = vec![price("f".into()).await?; 2];
    Ok(dice + a? + b + c + d + e + all + u64::from(rest) + numbers[0] + task.await?)
}

fn main() {
    let _ = |abide: &Abide| {
        let worker = abide.worker("q").workflow(Shop::run).workflow(calendar).workflow(all_of_abide);
        let _ = worker.activity(price);
    };
}
