//! Every pair again, on a server and on its model in memory (`store/memory/`): waits and answers must be the same.
//!
//! One pair at a time, so that no pair waits for another pair's locks. The server itself says whether the
//! second waits for a lock.

use super::ops::{OPS, Op, Told};
use super::scene::{self, Scene};
use super::{Way, end};
use crate::store::memory::tests::pairs::{self, Played};
use sqlx::{Connection, PgConnection};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_waits_and_answers_as_the_server_does() {
    let store = scene::store().await;
    let mut watcher = PgConnection::connect(&cluster::shared_database()).await.unwrap();
    let (mut differences, mut waited) = (Vec::new(), 0);
    for first in modelled() {
        for second in modelled() {
            for way in [Way::InOrder, Way::FirstRollsBack] {
                let there = on_server(&store, &mut watcher, first, second, way).await;
                let names: [&'static str; 2] = [first, second].map(|op| format!("{op:?}").leak() as _);
                let rolls_back = way == Way::FirstRollsBack;
                // It has its own runtime.
                let here = tokio::task::spawn_blocking(move || pairs::play(names[0], names[1], rolls_back));
                let here = here.await.unwrap();
                waited += u32::from(there.waited);
                if there != here {
                    differences
                        .push(format!("{first:?} {second:?} {way:?}: server {there:?}, model {here:?}"));
                }
            }
        }
    }
    assert!(waited > 100, "hardly any pair meets: {waited}");
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
}

/// All operations without a user's SQL.
fn modelled() -> impl Iterator<Item = Op> {
    OPS.into_iter().filter(|op| *op != Op::Complete)
}

async fn on_server(
    store: &scene::Opened,
    watcher: &mut PgConnection,
    first: Op,
    second: Op,
    way: Way,
) -> Played {
    let scene = Scene::set(store, &[first, second]).await;
    let (mut one, mut two) = (scene.session().await, scene.session().await);
    let told_one = first.perform(&scene, &mut one, 0).await;
    let process: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *two).await.unwrap();
    let mut running = Box::pin(second.perform(&scene, &mut two, 1));
    let early = loop {
        if let Ok(told) = tokio::time::timeout(Duration::from_millis(2), &mut running).await {
            break Some(told);
        }
        let waits = "SELECT coalesce(wait_event IN ('transactionid', 'tuple', 'advisory'), false)
            FROM pg_stat_activity WHERE pid = $1";
        if sqlx::query_scalar(waits).bind(process).fetch_one(&mut *watcher).await.unwrap() {
            break None;
        }
    };
    let waited = early.is_none();
    end(&mut one, first, told_one, way != Way::FirstRollsBack, 0).await;
    let told_two = match early {
        Some(told) => told,
        None => running.as_mut().await,
    };
    drop(running);
    end(&mut two, second, told_two, true, 1).await;
    scene.clear().await;
    // A failed transaction keeps its locks until it is rolled back. The model rolls back by itself.
    let waited = waited && !matches!(told_one, Told::Refused(_));
    Played { told: [format!("{told_one:?}"), format!("{told_two:?}")], waited }
}
