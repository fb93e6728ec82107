//! Workers that die, and workers that only seem to: stopped past their lease and continued, they find that everything
//! has gone on without them.

use crate::evidence::Evidence;
use crate::journal::number;
use crate::load::Load;
use crate::scene::{Scene, dice, eventually};
use crate::workers::{incarnation, written};
use crate::workflows::single;
use std::time::Duration;

/// So many by default; each costs a take-over.
const KILLS: u64 = 10;

#[tokio::test]
async fn kills_among_several_workers_lose_and_repeat_nothing() {
    let kills = std::env::var("ABIDE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let (scene, mut dice) = (Scene::new(), dice());
    let mut load = Load::begin(&scene, 3).await;
    for kill in 1..=kills {
        tokio::time::sleep(dice.wait(Duration::from_millis(2_500))).await;
        let victim = dice.below(load.workers.len() as u64) as usize;
        assert!(load.workers.swap_remove(victim).kill(), "it was at work");
        // At times the new one meets the old one's end at once, at times it comes late.
        tokio::time::sleep(dice.wait(Duration::from_millis(500))).await;
        load.workers.push(scene.worker());
        load.look().await;
        if kill % 10 == 0 {
            eprintln!("{kill} kills");
            load.goes_on().await;
        }
    }
    load.finish().await;
}

#[tokio::test]
async fn a_worker_stopped_past_its_lease_writes_nothing_more_under_its_old_name() {
    let scene = Scene::new();
    let mut load = Load::begin(&scene, 3).await;
    let old = incarnation(&scene, &load.workers[0]).await;
    load.workers[0].freeze();
    let there = format!("SELECT count(*) FROM worker WHERE id = {old}");
    eventually("it is taken over", async || number(scene.database(), &there).await == 0).await;
    let before = written(&scene, old).await;
    load.goes_on().await;
    load.workers[0].thaw();
    let begun = async || incarnation(&scene, &load.workers[0]).await > old;
    eventually("it begins anew", begun).await;
    let new = incarnation(&scene, &load.workers[0]).await;
    eventually("it does its part", async || written(&scene, new).await > 0).await;
    assert_eq!(written(&scene, old).await, before, "it wrote nothing under its old name");
    load.finish().await;
}

/// What it had queued was run by another; it must not begin it when it wakes.
#[tokio::test]
async fn a_worker_that_wakes_begins_nothing_of_what_it_had_queued() {
    let (scene, mut evidence) = (Scene::new(), Evidence::default());
    let (client, first) = (scene.client().await, scene.ready("work", &[("VICTIM_SLOTS", "1")]));
    let mut runs = Vec::new();
    for n in 0..30 {
        runs.push(client.start(single(n, 400)).id(format!("single-{n}")).await.expect("it starts"));
    }
    let scheduled = "SELECT count(DISTINCT execution) FROM journal WHERE body LIKE '%activity_scheduled%'";
    eventually("all are scheduled", async || number(scene.database(), scheduled).await == 30).await;
    first.freeze();
    let second = scene.worker();
    for run in &runs {
        run.result().await.expect("it ends");
    }
    evidence.check(&scene).await;
    let begun = std::fs::read(scene.ledger()).expect("the ledger").len();
    first.thaw();
    eventually("it begins anew", async || incarnation(&scene, &first).await > 0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    evidence.check(&scene).await;
    let now = std::fs::read_to_string(scene.ledger()).expect("the ledger");
    let late: Vec<_> = now[begun..].lines().filter(|line| line.starts_with("start")).collect();
    assert!(late.is_empty(), "it began what had ended: {late:?}");
    second.stop();
    first.stop();
}

/// Stopped in the middle of a transaction, with its locks: the server ends the session after 5 s.
#[tokio::test]
async fn a_worker_stopped_in_a_transaction_holds_nobody_up_for_long() {
    let scene = Scene::new();
    let mut load = Load::begin(&scene, 2).await;
    let holds = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'abide %' AND datname = \
                 current_database()
        AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '100 ms'";
    for wait in 0..20_000 {
        load.workers[0].freeze();
        tokio::time::sleep(Duration::from_millis(120)).await;
        if number(scene.database(), holds).await > 0 {
            break;
        }
        load.workers[0].thaw();
        assert!(wait < 2_000, "it is never in a transaction");
        tokio::time::sleep(Duration::from_micros(500 + wait % 7 * 300)).await;
    }
    eventually("its session ends", async || number(scene.database(), holds).await == 0).await;
    load.goes_on().await;
    load.workers[0].thaw();
    load.goes_on().await;
    load.finish().await;
}
