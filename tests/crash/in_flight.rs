//! Workers are killed at random points while updates, children and streams are in flight. Each update is answered once
//! and counts once, each child is done once, and streams have no gap: those of a workflow nothing twice either.

use crate::evidence::Evidence;
use crate::journal::{Execution, number};
use crate::mixed::{Chained, Tally, family, feed};
use crate::scene::{Dice, Scene, Victim, dice, within};
use abide::prelude::*;
use abide::{Fault, StreamItem, StreamReader, UpdateError};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A database takes so many kills before a fresh one follows: each look reads all of it.
const KILLS_A_SCENE: u64 = 6;

/// How many ask at once.
const ASKERS: u64 = 8;

const CHILDREN: u64 = 4;
const ITEMS: u64 = 12;

#[tokio::test]
async fn killed_with_updates_children_and_streams_in_flight() {
    let kills = std::env::var("ABIDE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS_A_SCENE);
    let mut dice = dice();
    let mut done = 0;
    while done < kills {
        let wanted = KILLS_A_SCENE.min(kills - done);
        one_scene(&mut dice, wanted).await;
        done += wanted;
        eprintln!("{done} kills");
    }
}

async fn one_scene(dice: &mut Dice, kills: u64) {
    let (scene, mut evidence) = (Scene::new(), Evidence::default());
    let client = scene.client().await;
    let tally = client.start(Tally::run()).id("tally").await.expect("it starts");
    let chained = client.start(Chained::run(Vec::new())).id("chained").await.expect("it starts");
    let enough = Arc::new(AtomicBool::new(false));
    let ask_tally = |first| ask(first, &enough, asking(&tally, |to, n| to.note(n).request_id(id(n))));
    let ask_chained = |first| ask(first, &enough, asking(&chained, |to, n| to.note(n).request_id(id(n))));
    // Some ask together with a start, which finds the run open.
    let with_tally = |client: &Client, n| {
        let start = client.start(Tally::run()).id("tally").request_id(id(n));
        start.with(|to| to.note(n)).into_future()
    };
    let with_chained = |client: &Client, n| {
        let start = client.start(Chained::run(Vec::new())).id("chained");
        start.with(|to| to.note(n).request_id(id(n))).into_future()
    };
    let with_tally = |first| ask(first, &enough, asking(&client, with_tally));
    let with_chained = |first| ask(first, &enough, asking(&client, with_chained));
    let askers = (0..ASKERS).map(|n| if n % 4 == 1 { with_tally(n) } else { ask_tally(n) });
    let askers: Vec<_> = askers.collect();
    let of_chained = (0..ASKERS).map(|n| if n % 4 == 1 { with_chained(n) } else { ask_chained(n) });
    let of_chained: Vec<_> = of_chained.collect();

    let mut rounds = Vec::new();
    let mut beside: Option<Victim> = None;
    for n in 0..kills {
        rounds.push(Round::begin(&client, n).await);
        let worker = scene.worker();
        tokio::time::sleep(dice.wait(Duration::from_millis(900))).await;
        assert!(worker.kill(), "it was at work");
        // At times another one was there, and lives on or not.
        beside = match dice.below(3) {
            0 => Some(beside.unwrap_or_else(|| scene.worker())),
            1 => None,
            _ => beside,
        };
        let executions = evidence.check(&scene).await;
        // A kill from outside makes no run a suspect (PROTOCOL 19).
        let suspended = executions.values().find(|execution| execution.status == 1);
        assert!(suspended.is_none(), "{:?}", suspended.map(|e| (&e.workflow_id, &e.suspension)));
    }

    let worker = scene.worker();
    let (answers, of_chained) = (answered(&enough, askers).await, answered(&enough, of_chained).await);
    let families = rounds.len() as u64;
    for (n, round) in (0..).zip(rounds) {
        round.end(n).await;
    }
    all_tallied(&tally, &answers).await;
    all_chained(&chained, &of_chained).await;
    let open = "SELECT count(*) FROM execution WHERE status < 10";
    assert_eq!(number(scene.database(), open).await, 0);
    worker.stop();
    drop(beside);
    let executions = evidence.check(&scene).await;
    let of_family =
        |execution: &&Execution| execution.workflow_id.starts_with("beside-") || is_child(execution);
    let children = executions.values().filter(of_family).count() as u64;
    assert_eq!(children, families * (CHILDREN + 1), "each child was started once");
    eprintln!("{} updates, {} in a chain, {children} children", answers.len(), of_chained.len());
}

/// A child without an id of its own has its parent's run id and a number.
fn is_child(execution: &Execution) -> bool {
    execution.workflow_id.contains('/')
}

/// What was answered: each number, with the place that it got.
type Answers = BTreeMap<u64, usize>;

/// What asks one of these runs to note a number.
fn asking<W: Clone, F>(to: &W, note: fn(&W, u64) -> F) -> impl Fn(u64) -> F + use<W, F> {
    let to = to.clone();
    move |n| note(&to, n)
}

/// Asks to note a number, the next one after the answer, until it is enough. Each asker has its own numbers.
fn ask<F, E>(
    first: u64,
    enough: &Arc<AtomicBool>,
    note: impl Fn(u64) -> F + Send + 'static,
) -> JoinHandle<Answers>
where
    F: Future<Output = Result<usize, UpdateError<E>>> + Send + 'static,
    E: Fault,
{
    let enough = Arc::clone(enough);
    tokio::spawn(async move {
        let (mut answers, mut n) = (Answers::new(), first);
        while !enough.load(Ordering::Relaxed) {
            // Under the same id, while the outcome is unknown or the database is busy.
            let place = loop {
                match note(n).await {
                    Ok(place) => break place,
                    Err(UpdateError::Client(error)) if passes(&error) => {}
                    Err(error) => panic!("no answer: {error}"),
                }
            };
            answers.insert(n, place);
            n += ASKERS;
        }
        answers
    })
}

/// What all were answered.
async fn answered(enough: &AtomicBool, askers: Vec<JoinHandle<Answers>>) -> Answers {
    enough.store(true, Ordering::Relaxed);
    let mut answers = Answers::new();
    for asker in askers {
        answers.extend(within("its last is answered", asker).await.expect("nothing panicked"));
    }
    answers
}

fn id(n: u64) -> String {
    format!("note-{n}")
}

fn passes(error: &abide::Error) -> bool {
    matches!(error.code(), "AB0410" | "AB0503" | "AB0515" | "AB0517")
}

async fn all_tallied(tally: &Handle<Tally>, answers: &Answers) {
    let known = answers.iter().map(async |(n, place)| {
        let kept = tally.updates().note(id(*n)).result().await.expect("it is kept");
        let again = tally.note(*n).request_id(id(*n)).await.expect("it is known");
        assert_eq!((kept, again), (*place, *place), "{n}");
    });
    join_all(known).await;
    tally.close().await.expect("it takes the signal");
    let noted = within("it ends", tally.result()).await.expect("it ends");
    all_in_place(&noted, answers);
    let items = all(tally.stream::<u64>("noted")).await;
    assert!(items.iter().all(|item| item.attempt.is_none()));
    assert_eq!(values(&items), noted, "published once, in order");
}

/// The runs of a chain answer for those before them, the last one also when it has closed.
async fn all_chained(chained: &Handle<Chained>, answers: &Answers) {
    let known = answers.iter().map(async |(n, place)| {
        let again = chained.note(*n).request_id(id(*n)).await.expect("it is known");
        assert_eq!(again, *place, "{n}");
    });
    join_all(known).await;
    chained.close().await.expect("it takes the signal");
    let noted = within("it ends", chained.result()).await.expect("it ends");
    all_in_place(&noted, answers);
    for (n, place) in answers {
        let kept = chained.updates().note(id(*n)).result().await.expect("it is kept");
        assert_eq!(kept, *place, "{n}");
    }
}

/// Each number was noted once, at the place that its answer said.
fn all_in_place(noted: &[u64], answers: &Answers) {
    assert_eq!(noted.len(), answers.len(), "each counts once: {noted:?}");
    for (n, place) in answers {
        assert_eq!(noted[place - 1], *n, "the answer {place} of {n}: {noted:?}");
    }
}

/// A family and a feed, and those who read what the feed publishes while it does.
struct Round {
    family: Handle<family>,
    feed: Handle<feed>,
    steps: JoinHandle<Vec<StreamItem<u64>>>,
    words: JoinHandle<Vec<StreamItem<u64>>>,
}

impl Round {
    async fn begin(client: &Client, n: u64) -> Self {
        let family = client.start(family(n, CHILDREN)).id(format!("family-{n}")).await.expect("it starts");
        let feed = client.start(feed(n, ITEMS)).id(format!("feed-{n}")).await.expect("it starts");
        let steps = tokio::spawn(all(feed.stream("steps")));
        let words = tokio::spawn(all(feed.stream("words")));
        Self { family, feed, steps, words }
    }

    async fn end(self, n: u64) {
        let came_to = within("the family ends", self.family.result()).await.expect("it ends");
        let expected: Vec<u64> = (0..=CHILDREN).map(|k| 2 * (2 * 10 * (10 * n + k) + 1)).collect();
        assert_eq!(came_to, expected);
        assert_eq!(within("the feed ends", self.feed.result()).await.expect("it ends"), ITEMS);

        let steps = within("all is read", self.steps).await.expect("nothing panicked");
        assert_eq!(values(&steps), (0..ITEMS).collect::<Vec<_>>(), "once, in order");
        let words = within("all is read", self.words).await.expect("nothing panicked");
        one_attempt_after_the_other(&words);
        // Who reads it later reads the same.
        assert_eq!(all(self.feed.stream("steps")).await, steps);
        assert_eq!(all(self.feed.stream("words")).await, words);
    }
}

/// Each attempt has published the first of its items, and the last attempt all of them.
fn one_attempt_after_the_other(words: &[StreamItem<u64>]) {
    let attempts: Vec<_> = words.chunk_by(|a, b| a.attempt == b.attempt).collect();
    for published in &attempts {
        assert_eq!(values(published), (0..published.len() as u64).collect::<Vec<_>>(), "{words:?}");
    }
    assert!(attempts.is_sorted_by(|a, b| a[0].attempt < b[0].attempt), "{words:?}");
    assert_eq!(attempts.last().map(|last| last.len() as u64), Some(ITEMS), "{words:?}");
}

/// All that a reader gets until the run has closed: numbered from 1, without a gap.
async fn all(mut reader: StreamReader<u64>) -> Vec<StreamItem<u64>> {
    let mut items: Vec<StreamItem<u64>> = Vec::new();
    while let Some(item) = reader.next().await {
        match item {
            Ok(item) => items.push(item),
            Err(error) if passes(&error) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let numbers: Vec<_> = items.iter().map(|item| item.offset.seq()).collect();
    assert_eq!(numbers, (1..=items.len() as u64).collect::<Vec<_>>(), "no gap");
    items
}

fn values(items: &[StreamItem<u64>]) -> Vec<u64> {
    items.iter().map(|item| item.value).collect()
}
