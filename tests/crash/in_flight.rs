//! Workers are killed at random points while updates, children and streams are in flight. Each update is answered once
//! and counts once, each child is done once, and streams have no gap: those of a workflow nothing twice either.

use crate::evidence::Evidence;
use crate::journal::{Execution, number};
use crate::mixed::{Tally, family, feed};
use crate::scene::{Dice, Scene, Victim, dice, within};
use abide::prelude::*;
use abide::{StreamItem, StreamReader, UpdateError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A database takes so many kills before a fresh one follows: each look reads all of it.
const KILLS_A_SCENE: u64 = 6;

/// How many ask at once.
const ASKERS: usize = 8;

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
    let enough = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..ASKERS as u64).map(|first| ask((&client, &tally), first, &enough)).collect();

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

    enough.store(true, Ordering::Relaxed);
    let worker = scene.worker();
    let mut answers = Answers::new();
    for asker in askers {
        answers.extend(within("its last is answered", asker).await.expect("nothing panicked"));
    }
    let families = rounds.len() as u64;
    for (n, round) in (0..).zip(rounds) {
        round.end(n).await;
    }
    all_noted(&tally, &answers).await;
    let open = "SELECT count(*) FROM execution WHERE status < 10";
    assert_eq!(number(scene.database(), open).await, 0);
    worker.stop();
    drop(beside);
    let executions = evidence.check(&scene).await;
    let of_family =
        |execution: &&Execution| execution.workflow_id.starts_with("beside-") || is_child(execution);
    let children = executions.values().filter(of_family).count() as u64;
    assert_eq!(children, families * (CHILDREN + 1), "each child was started once");
    eprintln!("{} updates, {children} children", answers.len());
}

/// A child without an id of its own has its parent's run id and a number.
fn is_child(execution: &Execution) -> bool {
    execution.workflow_id.contains('/')
}

/// What was answered: each number, with the place that it got.
type Answers = BTreeMap<u64, usize>;

/// Asks it to note a number, the next one after the answer, until it is enough. Each asker has its own numbers. The
/// odd ones go with a start, which finds the run open.
fn ask(
    (client, tally): (&Client, &Handle<Tally>),
    first: u64,
    enough: &Arc<AtomicBool>,
) -> JoinHandle<Answers> {
    let (client, tally, enough) = (client.clone(), tally.clone(), Arc::clone(enough));
    let start = move || client.start(Tally::run()).id("tally");
    tokio::spawn(async move {
        let mut answers = Answers::new();
        for n in (first..).step_by(ASKERS) {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            let place = match n % 2 {
                0 => answer(|| tally.note(n).request_id(id(n))).await,
                _ => answer(|| start().request_id(id(n)).with(|tally| tally.note(n)).into_future()).await,
            };
            answers.insert(n, place);
        }
        answers
    })
}

fn id(n: u64) -> String {
    format!("note-{n}")
}

/// Asks until there is an answer: under the same id, while the outcome is unknown or the database is busy.
async fn answer<F, E>(update: impl Fn() -> F) -> usize
where
    F: Future<Output = Result<usize, UpdateError<E>>>,
    UpdateError<E>: std::fmt::Display,
{
    loop {
        match update().await {
            Ok(place) => return place,
            Err(UpdateError::Client(error)) if passes(&error) => {}
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

fn passes(error: &abide::Error) -> bool {
    matches!(error.code(), "AB0410" | "AB0503" | "AB0515" | "AB0517")
}

/// Each number was noted once, at the place that its answer said, and says so when it is asked for again.
async fn all_noted(tally: &Handle<Tally>, answers: &Answers) {
    for (n, place) in answers {
        let kept = tally.updates().note(id(*n)).result().await.expect("it is kept");
        let again = tally.note(*n).request_id(id(*n)).await.expect("it is known");
        assert_eq!((kept, again), (*place, *place), "{n}");
    }
    tally.close().await.expect("it takes the signal");
    let noted = within("it ends", tally.result()).await.expect("it ends");
    assert_eq!(noted.len(), answers.len(), "each counts once: {noted:?}");
    for (n, place) in answers {
        assert_eq!(noted[place - 1], *n, "the answer {place} of {n}: {noted:?}");
    }
    let items = all(tally.stream::<u64>("noted")).await;
    assert!(items.iter().all(|item| item.attempt.is_none()));
    assert_eq!(values(&items), noted, "published once, in order");
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
