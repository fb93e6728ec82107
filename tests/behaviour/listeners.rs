//! `tracing` in workflow code: each event is emitted once, in the spans that the code is in, and its arguments are
//! evaluated the same with every subscriber.

use super::ends::reason;
use super::support::{Db, Log, Steps};
use abide::prelude::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use tracing::Instrument as _;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const TARGET: &str = "told";

type Lines = Mutex<Vec<String>>;

/// Keeps events there, with the spans that they are in: `a{id=1}:b: text`.
struct Keeping(&'static Lines);

/// Those of these tests.
fn kept() -> &'static Lines {
    static KEPT: OnceLock<Lines> = OnceLock::new();
    KEPT.get_or_init(Mutex::default)
}

/// Those of the engine, which are for the user.
fn of_engine() -> &'static Lines {
    static KEPT: OnceLock<Lines> = OnceLock::new();
    KEPT.get_or_init(Mutex::default)
}

/// What was told that holds this word, and how often.
fn told_of(word: &str) -> HashMap<String, u32> {
    let mut counted = HashMap::new();
    for line in kept().lock().unwrap().iter().filter(|line| line.contains(word)) {
        *counted.entry(line.clone()).or_default() += 1;
    }
    counted
}

/// What the engine has told that holds this word, in order.
pub fn engine_told(word: &str) -> Vec<String> {
    of_engine().lock().unwrap().iter().filter(|line| line.contains(word)).cloned().collect()
}

/// Everything that abide has told, whatever its target.
fn of_abide() -> &'static Lines {
    static KEPT: OnceLock<Lines> = OnceLock::new();
    KEPT.get_or_init(Mutex::default)
}

/// What abide has told, with the spans around it, that holds this word: of any part of it.
pub fn everything_told(word: &str) -> Vec<String> {
    of_abide().lock().unwrap().iter().filter(|line| line.contains(word)).cloned().collect()
}

#[derive(Default)]
struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.0.push_str(&format!("{value:?}")),
            name => self.0.push_str(&format!("{name}={value:?}")),
        }
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeping {
    fn on_new_span(&self, attrs: &tracing::span::Attributes<'_>, id: &tracing::Id, ctx: Context<'_, S>) {
        let mut text = Text::default();
        attrs.record(&mut text);
        // Two of these may see one span.
        ctx.span(id).unwrap().extensions_mut().replace(text);
    }

    fn on_record(&self, id: &tracing::Id, values: &tracing::span::Record<'_>, ctx: Context<'_, S>) {
        let span = ctx.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        values.record(extensions.get_mut::<Text>().unwrap());
    }

    fn on_event(&self, event: &tracing::Event<'_>, ctx: Context<'_, S>) {
        let mut line = String::new();
        for span in ctx.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<Text>().map(|text| text.0.clone()).unwrap_or_default();
            line.push_str(&format!("{}{{{fields}}}:", span.name()));
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.0.lock().unwrap().push(format!("{line}{}", text.0));
    }
}

/// With a level for the whole process, which `tracing` compares before it asks anybody.
pub fn listen() {
    let tests = Keeping(kept()).with_filter(filter_fn(|metadata| metadata.target() == TARGET));
    let engine = ["abide::workflow", "abide::activity", "abide::worker"];
    let engine = filter_fn(move |metadata| engine.contains(&metadata.target()));
    let engine = Keeping(of_engine()).with_filter(engine);
    let all = filter_fn(|metadata| metadata.target().starts_with("abide"));
    let all = Keeping(of_abide()).with_filter(all);
    let subscriber =
        tracing_subscriber::registry().with(LevelFilter::INFO).with(tests).with(engine).with(all);
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[workflow]
async fn talkative(rounds: u32) -> Result<u32, Failure> {
    tracing::info!(target: TARGET, "talkative begins");
    let mut sum = 0;
    for n in 0..rounds {
        sum += Steps::note(n).await?;
        tracing::info!(target: TARGET, "talkative: round {n}");
        workflow::sleep(Duration::from_millis(2)).await;
    }
    tracing::info!(target: TARGET, "talkative ends");
    Ok(sum)
}

#[tokio::test]
async fn a_replay_logs_nothing() {
    listen();
    let (db, log) = (Db::new().await, Log::default());
    // A cache that holds nothing: it is replayed after every wait.
    let worker = db.abide.worker("det").workflow(talkative).activities(Steps(log.clone())).cache_bytes(1);
    let worker = worker.start().await.unwrap();
    let run = db.client().start(talkative(5)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    worker.shutdown().await.unwrap();
    let told = told_of("talkative");
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(told.values().all(|times| *times == 1), "{told:?}");
}

fn nap() -> workflow::Sleep {
    workflow::sleep(Duration::from_millis(2))
}

#[workflow]
async fn spanned(id: u32) -> u32 {
    let order = tracing::info_span!(target: TARGET, "order", id, paid = tracing::field::Empty);
    let step = tracing::info_span!(target: TARGET, parent: &order, "step", name = "pack");
    let quiet = tracing::debug_span!(target: TARGET, parent: &order, "quiet");
    nap().await;
    order.in_scope(|| tracing::info!(target: TARGET, "spanned: between"));
    order.record("paid", true);
    nap().await;
    step.in_scope(|| {
        tracing::info!(target: TARGET, "spanned: inside");
        tracing::Span::current().record("name", "post");
    });
    tracing::info!(target: TARGET, parent: &order, "spanned: by name");
    quiet.in_scope(|| tracing::info!(target: TARGET, "spanned: in a quiet one"));
    tracing::info!(target: TARGET, "spanned: outside");
    id
}

#[tokio::test]
async fn a_span_made_before_an_await_has_its_subscriber_after_a_replay() {
    listen();
    for bytes in [1, usize::MAX] {
        kept().lock().unwrap().retain(|line| !line.contains("spanned"));
        let db = Db::new().await;
        let worker = db.abide.worker("spans").workflow(spanned).cache_bytes(bytes).start().await.unwrap();
        assert_eq!(db.client().start(spanned(7)).await.unwrap().result().await.unwrap(), 7);
        worker.shutdown().await.unwrap();
        let mut told: Vec<_> = told_of("spanned").into_iter().collect();
        told.sort();
        let expected = [
            "order{id=7paid=true}:spanned: by name",
            "order{id=7paid=true}:step{name=\"pack\"}:spanned: inside",
            "order{id=7}:spanned: between",
            "spanned: in a quiet one",
            "spanned: outside",
        ];
        assert_eq!(told, expected.map(|line| (line.to_owned(), 1)), "with a cache of {bytes} bytes");
    }
}

#[workflow::helper]
async fn packed(n: u32) -> Result<u32, CallError> {
    tracing::info!(target: TARGET, "instrumented: packing {n}");
    let noted = Steps::note(n).await?;
    tracing::info!(target: TARGET, "instrumented: packed {n}");
    Ok(noted)
}

#[workflow]
async fn instrumented(n: u32) -> Result<u32, Failure> {
    let pack = tracing::info_span!(target: TARGET, "pack", n);
    let first = packed(n).instrument(pack.clone()).await?;
    let entered = tracing::info_span!(target: TARGET, "held").entered();
    let both = workflow::join!(
        packed(n + 1).instrument(tracing::info_span!(target: TARGET, "left")),
        async {
            nap().await;
            tracing::info!(target: TARGET, "instrumented: right");
        }
        .instrument(pack)
    );
    drop(entered);
    tracing::info!(target: TARGET, "instrumented: end");
    Ok(first + both.0?)
}

#[tokio::test]
async fn an_instrumented_future_is_a_workflow_future() {
    listen();
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("det").workflow(instrumented).activities(Steps(log.clone())).cache_bytes(1);
    let worker = worker.start().await.unwrap();
    let run = db.client().start(instrumented(4)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 9);
    worker.shutdown().await.unwrap();
    let mut told: Vec<_> = told_of("instrumented").into_iter().collect();
    told.sort();
    let expected = [
        "held{}:left{}:instrumented: packed 5",
        "held{}:left{}:instrumented: packing 5",
        "instrumented: end",
        "pack{n=4}:instrumented: packed 4",
        "pack{n=4}:instrumented: packing 4",
        "pack{n=4}:instrumented: right",
    ];
    assert_eq!(told, expected.map(|line| (line.to_owned(), 1)));
}

#[workflow]
async fn waits_in_a_span() -> Result<u32, Failure> {
    let (sender, receiver) = workflow::allow!("a mistake", tokio::sync::oneshot::channel::<u32>());
    std::mem::forget(sender);
    let hidden = workflow::assume_deterministic("a mistake", receiver);
    Ok(hidden.instrument(tracing::info_span!(target: TARGET, "hidden")).await?)
}

#[tokio::test]
async fn a_foreign_future_in_a_span_is_found() {
    let db = Db::new().await;
    let worker = db.abide.worker("det").workflow(waits_in_a_span).start().await.unwrap();
    let told = reason(db.client().start(waits_in_a_span()).await.unwrap().result().await);
    assert_eq!(told.code(), "AB0204");
    worker.shutdown().await.unwrap();
}

/// A state that tells when it is made and when it goes.
struct Telling(u32);

impl Default for Telling {
    fn default() -> Self {
        tracing::info!(target: TARGET, "telling: made");
        Self(0)
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        tracing::info!(target: TARGET, "telling: gone");
    }
}

#[workflow]
impl Telling {
    #[run]
    async fn run(&mut self) -> u32 {
        for _ in 0..3 {
            let _local = Local;
            nap().await;
            self.0 += 1;
        }
        self.0
    }
}

struct Local;

impl Drop for Local {
    fn drop(&mut self) {
        tracing::info!(target: TARGET, "telling: a local");
    }
}

#[tokio::test]
async fn what_an_eviction_drops_and_a_load_makes_is_not_told() {
    listen();
    let db = Db::new().await;
    let worker = db.abide.worker("det").workflow(Telling::run).cache_bytes(1).start().await.unwrap();
    assert_eq!(db.client().start(Telling::run()).await.unwrap().result().await.unwrap(), 3);
    worker.shutdown().await.unwrap();
    let told = told_of("telling");
    assert_eq!(told.get("telling: made"), Some(&1), "{told:?}");
    assert_eq!(told.get("telling: a local"), Some(&3), "{told:?}");
    assert_eq!(told.get("telling: gone"), None, "{told:?}");
}

/// A value that counts how often it was asked for.
#[derive(Default)]
struct Asked(Cell<u32>);

impl Asked {
    fn next(&self) -> u32 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }
}

#[derive(Default)]
struct Counting {
    asked: Asked,
}

#[workflow]
impl Counting {
    #[run]
    async fn run(&mut self, rounds: u32) -> Result<u32, Failure> {
        for _ in 0..rounds {
            tracing::trace!(target: TARGET, asked = self.asked.next(), "nobody listens to this");
            let span = tracing::debug_span!(target: TARGET, "unheard", asked = self.asked.next());
            let asked = span.in_scope(|| self.asked.next());
            // What an argument did decides what is done.
            Steps::note(asked).await?;
        }
        Ok(self.asked.0.get())
    }
}

#[tokio::test]
async fn arguments_are_evaluated_below_the_level_that_is_heard() {
    listen();
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("det").workflow(Counting::run).activities(Steps(log.clone()));
    let worker = worker.cache_bytes(1).start().await.unwrap();
    let run = db.client().start(Counting::run(4)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 12);
    worker.shutdown().await.unwrap();
}
