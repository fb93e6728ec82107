//! Three sessions: a parent closes and its children are told, while its child continues as new and then closes.
//!
//! The child is a chain of two runs. The second is there once the first has committed, so these two take turns in one
//! session. The close of the parent and the sweep take turns in another. All orders of their steps are played.

use super::ops::{Op, Told};
use super::scene::{self, Scene};
use super::{end, family, play_all};
use crate::store::failure::Kind;
use sqlx::{Executor, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The steps of the parent: its close begins, and commits; a slice of the sweep begins, and commits; the mark goes.
const OF_PARENT: u32 = 5;
/// Those of the child: it continues as new, and commits; the next run closes, and commits.
const OF_CHILD: u32 = 4;

/// How often what the triple is for has happened.
#[derive(Default)]
struct Seen {
    /// The slice told a run of the child.
    told: AtomicUsize,
    /// The next run has closed.
    closed: AtomicUsize,
    /// It was told, and did not close.
    kept_open: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_closes_while_its_child_goes_on() {
    #[cfg(feature = "mutants")]
    super::mutants::let_live_by_environment();
    let (store, seen) = (Arc::new(scene::store().await), Arc::<Seen>::default());
    let orders = (0..1_u32 << (OF_PARENT + OF_CHILD)).filter(|order| order.count_ones() == OF_CHILD);
    let play_one = |order| {
        let (store, seen) = (Arc::clone(&store), Arc::clone(&seen));
        async move { play(&store, order, &seen).await }
    };
    // But where both tries are made while the slice has the row.
    assert_eq!(play_all(orders.map(play_one)).await, 120, "the child continues as new");
    let [told, closed, kept_open] =
        [&seen.told, &seen.closed, &seen.kept_open].map(|seen| seen.load(Ordering::Relaxed));
    assert!(
        told > 10 && closed > 10 && kept_open > 10,
        "told {told}, closed {closed}, kept open {kept_open}"
    );
}

/// Plays the order in which the child's steps are the ones. Whether the child continued as new.
async fn play(store: &scene::Opened, order: u32, seen: &Seen) -> bool {
    let scene = Scene::set(store, &[Op::CloseParent, Op::Continue, Op::CloseNext]).await;
    let (mut parent, mut child) = (scene.session().await, scene.session().await);
    let (mut parents, mut childs) = (0, Childs { continued: Told::Nothing, closed: Told::Nothing });
    let mut step = 0;
    for nth in 0..OF_PARENT + OF_CHILD {
        if order & (1 << nth) == 0 {
            step_of_parent(&scene, &mut parent, nth - step, &mut parents).await;
        } else {
            childs.step(&scene, &mut child, step).await;
            step += 1;
        }
    }
    drop((parent, child));
    let what = format!("order {order:09b}: {childs:?}, the slice told {parents}");
    family::check(&scene, &what).await;
    family::settle(&scene, &what).await;
    scene.clear().await;
    seen.told.fetch_add(parents, Ordering::Relaxed);
    seen.closed.fetch_add(usize::from(childs.closed == Told::Done), Ordering::Relaxed);
    let kept_open = childs.closed == Told::Refused(Kind::Conflict);
    seen.kept_open.fetch_add(usize::from(kept_open), Ordering::Relaxed);
    childs.continued == Told::Done
}

async fn step_of_parent(scene: &Scene, session: &mut PgConnection, step: u32, told: &mut usize) {
    match step {
        0 => {
            assert_eq!(Op::CloseParent.perform(scene, session, 0).await, Told::Done, "nothing is in its way")
        }
        1 => assert!(end(session, Op::CloseParent, Told::Done, true, 0).await.committed),
        2 => {
            session.execute(sqlx::raw_sql("BEGIN")).await.unwrap();
            *told += usize::from(family::tell(scene, session).await.unwrap() == Told::Done);
        }
        3 => drop(session.execute(sqlx::raw_sql("COMMIT")).await.unwrap()),
        _ => family::forget_all(scene, session).await.unwrap(),
    }
}

/// What the child was told.
#[derive(Debug)]
struct Childs {
    continued: Told,
    closed: Told,
}

impl Childs {
    async fn step(&mut self, scene: &Scene, session: &mut PgConnection, step: u32) {
        let (op, told) = match step {
            0 | 1 => (Op::Continue, &mut self.continued),
            _ => (Op::CloseNext, &mut self.closed),
        };
        // What could not begin is tried once more.
        if *told != Told::Done {
            *told = op.perform(scene, session, 0).await;
        }
        if step % 2 == 1 || *told != Told::Done {
            end(session, op, *told, true, 0).await;
        }
    }
}
