//! Every pair of the store's statements against each other, on a real server.
//!
//! There are two sessions. The first begins its operation and holds its transaction open. The second begins,
//! and either waits for the first or finishes meanwhile. Then the transactions end, in each possible order.
//! The resulting rows must keep the rules, whatever each was answered. `ops` has the operations as production
//! code runs them, `scene` the rows that they find, `rules` what must hold.

mod attempts;
mod claims;
mod family;
mod guarded;
#[cfg(all(feature = "sqlite", feature = "testing"))] // as the tests of the model are
mod model;
#[cfg(feature = "mutants")]
pub(crate) mod mutants;
mod ops;
mod rules;
mod scene;
mod triples;

use ops::{OPS, Op, Told};
use scene::Scene;
use sqlx::{Executor, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How the two transactions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The first commits, then the second.
    InOrder,
    /// The first rolls back, then the second commits.
    FirstRollsBack,
    /// The second commits, if it need not wait, then the first.
    SecondFirst,
}

const WAYS: [Way; 3] = [Way::InOrder, Way::FirstRollsBack, Way::SecondFirst];

/// After this time the second counts as waiting for the first. A wrong guess tries another order, where the
/// rules hold too.
const WAITS: Duration = Duration::from_millis(40);
/// How many scenes run at once. Each has its own executions, workers and task queue.
const AT_ONCE: usize = 16;

/// The outcome of an operation.
#[derive(Clone, Copy, Debug)]
struct Ended {
    op: Op,
    told: Told,
    /// Its transaction committed and did what it was asked.
    committed: bool,
    /// Its place in the order of commits, from 0.
    place: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_in_every_order() {
    #[cfg(feature = "mutants")]
    mutants::let_live_by_environment();
    let store = Arc::new(scene::store().await);
    let mut scenes = Vec::new();
    for first in OPS {
        for second in OPS {
            scenes.extend(WAYS.map(|way| (first, second, way)));
        }
    }
    let all = scenes.len();
    let play_one = |(first, second, way)| {
        let store = Arc::clone(&store);
        async move { play(&store, first, second, way).await }
    };
    let waited = play_all(scenes.into_iter().map(play_one)).await;
    assert!(
        waited > all / 20,
        "hardly any operation waits for another ({waited} of {all}): locks are missing"
    );
    println!("{all} orders of {} operations; in {waited} the second waited for the first", OPS.len());
}

/// Plays all, some at once; of how many it is true.
async fn play_all(scenes: impl Iterator<Item = impl Future<Output = bool> + Send + 'static>) -> usize {
    let (mut scenes, mut playing, mut count) = (scenes, JoinSet::new(), 0);
    loop {
        while playing.len() < AT_ONCE
            && let Some(scene) = scenes.next()
        {
            playing.spawn(scene);
        }
        match playing.join_next().await {
            Some(is_true) => count += usize::from(is_true.unwrap()),
            None => return count,
        }
    }
}

/// Runs one order and checks the result. Returns whether the second waited for the first.
async fn play(store: &scene::Opened, first: Op, second: Op, way: Way) -> bool {
    let scene = Scene::set(store, &[first, second]).await;
    let (mut one, mut two) = (scene.session().await, scene.session().await);
    let told_one = first.perform(&scene, &mut one, 0).await;
    let mut running = Box::pin(second.perform(&scene, &mut two, 1));
    let early = tokio::time::timeout(WAITS, &mut running).await.ok();
    let waited = early.is_none();
    let (ended_one, ended_two);
    match early {
        Some(told_two) if way == Way::SecondFirst => {
            drop(running);
            ended_two = end(&mut two, second, told_two, true, 0).await;
            ended_one = end(&mut one, first, told_one, true, 1).await;
        }
        early => {
            ended_one = end(&mut one, first, told_one, way != Way::FirstRollsBack, 0).await;
            let told_two = match early {
                Some(told) => told,
                None => tokio::time::timeout(Duration::from_secs(20), &mut running)
                    .await
                    .expect("each ends in time"),
            };
            drop(running);
            ended_two = end(&mut two, second, told_two, true, 1).await;
        }
    }
    rules::check(&scene, way, [ended_one, ended_two]).await;
    scene.clear(store).await;
    waited
}

async fn end(connection: &mut PgConnection, op: Op, told: Told, commit: bool, place: usize) -> Ended {
    let keep = commit && told != Told::Broken && !matches!(told, Told::Refused(_));
    let word = if keep { "COMMIT" } else { "ROLLBACK" };
    let ended = connection.execute(sqlx::raw_sql(word)).await.is_ok();
    Ended { op, told, committed: keep && ended && told == Told::Done, place }
}
