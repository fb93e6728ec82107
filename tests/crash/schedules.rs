//! Workers are killed at random points while schedules start runs: no slot is started twice, and none is missed.

use crate::scene::{Scene, dice, eventually, within};
use crate::workflows::sequence;
use abide::prelude::*;
use abide::{Error, ListFilter, jiff::Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a worker is killed.
const KILLS: u64 = 12;

#[tokio::test]
async fn killed_while_schedules_start_runs() {
    let kills = std::env::var("ABIDE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let (scene, mut dice) = (Scene::new(), dice());
    let client = scene.client().await;
    let ids = ["one", "two", "three"];
    for (n, id) in (0..).zip(ids) {
        let schedule = client.schedule(id, sequence(n, 1, 1)).every(secs(1)).overlap(Overlap::AllowAll);
        schedule.await.expect("it is created");
    }
    let mut workers = vec![scene.worker(), scene.worker()];
    let (mut triggered, mut killed) = (0, 0);
    while killed < kills {
        tokio::time::sleep(Duration::from_millis(dice.below(900))).await;
        // Meanwhile the test's process starts runs, too.
        client.schedule_handle::<sequence>("two").trigger().await.expect("it is triggered");
        triggered += 1;
        let at = usize::try_from(dice.below(2)).unwrap_or(0);
        killed += u64::from(workers.swap_remove(at).kill());
        workers.push(scene.worker());
    }
    for id in ids {
        let schedule = client.schedule_handle::<sequence>(id);
        within("it is paused", schedule.pause("enough")).await.expect("it is there");
        let described = schedule.describe().await.expect("it is there");
        let (slots, others) = slots(&client, id).await;
        assert!(slots.values().all(|runs| *runs == 1), "{id}: a slot was started twice: {slots:?}");
        let seconds: Vec<i64> = slots.keys().map(|slot| slot.as_second()).collect();
        let gap = seconds.windows(2).find(|pair| pair[1] != pair[0] + 1);
        assert_eq!(gap, None, "{id}: a slot was missed");
        assert_eq!(others, if id == "two" { triggered } else { 0 }, "{id}");
        assert_eq!(described.counts.started, (slots.len() + others) as u64, "{id}");
        assert_eq!((described.counts.failed, described.counts.missed), (0, 0), "{id}");
    }
    // Every end is told.
    eventually("all ends are taken in", async || {
        let mut open = 0;
        for id in ids {
            open +=
                client.schedule_handle::<sequence>(id).describe().await.map_or(1, |known| known.overlapping);
        }
        open == 0
    })
    .await;
}

/// How many runs each slot of a schedule has, and how many runs it has besides.
async fn slots(client: &Client, id: &str) -> (BTreeMap<Timestamp, usize>, usize) {
    let (mut slots, mut others, mut after) = (BTreeMap::new(), 0, None);
    loop {
        let mut filter = ListFilter::new().id_prefix(format!("{id}-")).limit(1_000);
        if let Some(after) = after {
            filter = filter.after(after);
        }
        let page = client.list(filter).await.unwrap_or_else(|error: Error| panic!("{error}"));
        for run in page.executions {
            match run.workflow_id[id.len() + 1..].parse::<Timestamp>() {
                Ok(slot) => *slots.entry(slot).or_default() += 1,
                Err(_) => others += 1,
            }
        }
        after = page.next;
        if after.is_none() {
            return (slots, others);
        }
    }
}
