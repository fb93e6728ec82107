//! Task queues with limits, priorities and fair shares (PROTOCOL 78, 79).

use super::*;
use std::collections::BTreeSet;

/// A task of `stripe` with this place; the older the smaller its number.
fn task(activity: u64, place: Place) -> NewTask {
    NewTask {
        activity: EventId(activity),
        attempt: 1,
        queue: Some("stripe".to_owned()),
        name: "charge".to_owned(),
        input: "[]".to_owned(),
        limits: "{}".to_owned(),
        run_at_ms: activity as i64,
        start_by_ms: None,
        close_by_ms: None,
        details: None,
        place,
    }
}

fn limited(key: &str) -> Place {
    Place { limit_key: key.to_owned(), ..Place::default() }
}

fn fair(key: &str, weight: i32) -> Place {
    Place { fair_key: key.to_owned(), weight, ..Place::default() }
}

impl Process {
    /// A run that waits for these tasks, numbered from 2 on.
    async fn calls(&self, name: &str, places: Vec<Place>) -> ExecutionId {
        let id = self.running(name).await;
        let n = places.len() as u32;
        let tasks = places.into_iter().zip(2..).map(|(place, n)| TaskChange::Insert(task(n, place)));
        let append = Append { tasks: tasks.collect(), ..self.turn(id, 2, n) };
        assert!(matches!(self.append(append).await, Ok(AppendOutcome::Done)));
        id
    }

    async fn limit(&self, most: Option<i32>, rate: Option<(f64, f64)>) {
        let limit = WorkerLimit { activity: "charge".to_owned(), most, rate };
        self.store.set_limits("stripe".to_owned(), vec![limit]).await.unwrap();
    }

    async fn asks(&self, limit: u32, turn: &QueueTurn) -> ClaimedTasks {
        let (queues, names) = (vec!["stripe".to_owned()], vec!["charge".to_owned()]);
        let claim = TaskClaim { owner: self.me, queues, names, limit, turn: turn.clone() };
        self.store.claim_tasks(claim).await.unwrap()
    }

    /// Claims until no other claim is in the way.
    async fn takes(&self, limit: u32) -> Vec<Task> {
        let mut tasks = Vec::new();
        for _ in 0..200 {
            let claimed = self.asks(limit - tasks.len() as u32, &QueueTurn::default()).await;
            tasks.extend(claimed.tasks);
            if !claimed.soon || tasks.len() as u32 == limit {
                return tasks;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("a limit is held for ever");
    }

    async fn ends(&self, task: &Task) {
        let (activity, attempt) = (task.key.activity, task.key.attempt);
        let body = format!(r#"{{"activity":{activity},"attempt":{attempt},"outcome":{{"completed":1}}}}"#);
        assert!(self.store.finish_task(self.me, task.key, body).await.unwrap());
    }

    async fn owns(&self) -> usize {
        self.store.owned_tasks(self.me).await.unwrap().len()
    }
}

fn numbers(tasks: &[Task]) -> Vec<u64> {
    tasks.iter().map(|task| task.key.activity.0).collect()
}

pub(super) async fn no_more_run_than_the_limit_says(lab: Lab) {
    let (a, b, c) = (lab.process().await, lab.process().await, lab.process().await);
    a.limit(Some(5), None).await;
    a.calls("order-1", vec![limited("charge"); 20]).await;
    let (at_a, at_b, at_c) = tokio::join!(a.takes(20), b.takes(20), c.takes(20));
    let mut all: Vec<u64> = [&at_a, &at_b, &at_c].into_iter().flat_map(|tasks| numbers(tasks)).collect();
    assert_eq!(a.owns().await + b.owns().await + c.owns().await, 5);
    assert!(b.takes(20).await.is_empty() && c.takes(1).await.is_empty());
    for (process, tasks) in [(&a, &at_a), (&b, &at_b), (&c, &at_c)] {
        for task in tasks.iter() {
            process.ends(task).await;
            let next = c.takes(20).await;
            assert_eq!(next.len(), 1, "an end makes room for one");
            all.extend(numbers(&next));
        }
    }
    assert_eq!(all.len(), 10);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 10, "each is claimed once");
}

pub(super) async fn what_a_dead_worker_ran_makes_room(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    a.limit(Some(2), None).await;
    a.calls("order-1", vec![limited("charge"); 5]).await;
    assert_eq!(b.takes(9).await.len(), 2);
    assert!(a.takes(9).await.is_empty());
    let dead = b.me;
    b.die().await;
    lab.found_dead(&a, dead).await;
    a.store.take_over(dead).await.unwrap();
    assert_eq!(a.takes(9).await.len(), 2);
}

pub(super) async fn what_is_given_back_makes_room(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    a.limit(Some(1), None).await;
    a.calls("order-1", vec![limited("charge"); 2]).await;
    let taken = b.takes(9).await;
    assert!(a.takes(9).await.is_empty());
    b.store.release_tasks(b.me, vec![taken[0].key]).await.unwrap();
    assert_eq!(numbers(&a.takes(9).await), numbers(&taken), "the oldest again");
}

pub(super) async fn a_rate_is_kept_by_the_clock_of_the_database(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    a.limit(None, Some((20.0, 3.0))).await;
    a.calls("order-1", vec![limited("charge"); 9]).await;
    let since_ms = a.store.now_ms();
    let first = a.asks(9, &QueueTurn::default()).await;
    assert_eq!(first.tasks.len(), 3, "the burst");
    let next_ms = first.next_due_ms.expect("a token comes");
    assert!(next_ms > since_ms && next_ms <= a.store.now_ms() + 60, "{next_ms} after {since_ms}");
    let mut got = 3;
    while got < 9 {
        got += b.takes(9).await.len();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Six tokens at 20 a second, less the rounding of two clocks.
    let took_ms = a.store.now_ms() - since_ms;
    assert!(took_ms >= 280, "{got} began within {took_ms} ms");
}

pub(super) async fn each_key_has_the_limit_for_itself(lab: Lab) {
    let a = lab.process().await;
    a.limit(Some(1), None).await;
    let places = ["charge/x", "charge/x", "charge/y", "charge", "charge"].map(limited);
    a.calls("order-1", places.to_vec()).await;
    let mut taken = numbers(&a.takes(9).await);
    taken.sort_unstable();
    assert_eq!(taken, [2, 4, 5]);
    a.limit(Some(2), None).await;
    let mut taken = numbers(&a.takes(9).await);
    taken.sort_unstable();
    assert_eq!(taken, [3, 6], "a changed limit is that of its keys too");
}

pub(super) async fn the_last_started_worker_sets_the_limits(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    a.limit(Some(1), None).await;
    a.calls("order-1", vec![limited("charge"); 9]).await;
    assert_eq!(a.takes(9).await.len(), 1);
    b.limit(Some(4), None).await;
    assert_eq!(a.takes(9).await.len(), 3);
    assert_eq!(a.store.limited("stripe".to_owned()).await.unwrap(), ["charge"]);
    b.limit(None, None).await;
    assert!(a.store.limited("stripe".to_owned()).await.unwrap().is_empty());
    assert_eq!(a.takes(9).await.len(), 5, "no limit any more");
}

pub(super) async fn a_higher_priority_is_claimed_first(lab: Lab) {
    let a = lab.process().await;
    let of = |priority| Place { priority, ..Place::default() };
    a.calls("order-1", [3, 5, 1, 3, 2].map(of).to_vec()).await;
    let some = a.asks(3, &QueueTurn::default()).await;
    assert_eq!(numbers(&some.tasks), [4, 6, 2]);
    let b = lab.process().await;
    a.calls("order-2", vec![Place { priority: 1, ..fair("t", 1) }]).await;
    let rest = b.asks(9, &QueueTurn::default()).await;
    assert_eq!(numbers(&rest.tasks), [2, 5, 3], "also beside tasks with keys");
}

pub(super) async fn a_flood_of_one_key_does_not_hold_up_the_others(lab: Lab) {
    let a = lab.process().await;
    a.limit(Some(100), None).await;
    let flood = vec![Place { limit_key: "charge".to_owned(), ..fair("big", 1) }; 30];
    let small = |key: &str| Place { limit_key: "charge".to_owned(), ..fair(key, 2) };
    let places = [flood, vec![small("small"), small("small"), small("small"), small("tiny")]].concat();
    a.calls("order-1", places).await;
    // One at a time, so that each claim goes on with the turn of the one before.
    let (mut turn, mut served) = (QueueTurn::default(), Vec::new());
    for _ in 0..8 {
        let claimed = a.asks(1, &turn).await;
        served.extend(numbers(&claimed.tasks));
        turn = claimed.turn;
    }
    assert_eq!(served, [2, 32, 33, 35, 3, 34, 4, 5], "big, small twice, tiny, in turn");
}

pub(super) async fn later_tasks_say_when_they_are_due(lab: Lab) {
    let a = lab.process().await;
    a.limit(Some(1), None).await;
    let id = a.running("order-1").await;
    let later = a.store.now_ms() + 60_000;
    let tasks = vec![
        TaskChange::Insert(task(2, limited("charge"))),
        TaskChange::Insert(NewTask { run_at_ms: later, ..task(3, limited("charge")) }),
        TaskChange::Insert(NewTask { run_at_ms: later + 1, ..task(4, Place::default()) }),
    ];
    a.append(Append { tasks, ..a.turn(id, 2, 3) }).await.unwrap();
    let claimed = a.asks(9, &QueueTurn::default()).await;
    assert_eq!((numbers(&claimed.tasks), claimed.next_due_ms, claimed.soon), (vec![2], Some(later), false));
}

pub(super) async fn a_claim_under_a_limit_is_one_commit(lab: Lab) {
    let a = lab.process().await;
    a.limit(Some(500), Some((1_000.0, 500.0))).await;
    a.calls(
        "order-1",
        (0..150)
            .map(|n| Place { limit_key: "charge".to_owned(), ..fair(&format!("t{}", n % 7), 1) })
            .collect(),
    )
    .await;
    // The first one finds out that there are limits.
    let first = a.asks(10, &QueueTurn::default()).await;
    let before = a.store.metrics().commits;
    let second = a.asks(100, &first.turn).await;
    assert_eq!((first.tasks.len(), second.tasks.len()), (10, 100));
    assert_eq!(a.store.metrics().commits - before, 1);
}

pub(super) async fn what_is_in_use_is_not_forgotten(lab: Lab) {
    let a = lab.process().await;
    a.limit(Some(1), None).await;
    a.calls("order-1", vec![limited("charge/x")]).await;
    assert_eq!(a.takes(9).await.len(), 1);
    // One that is in use, or was a moment ago, stays; so do the limits of activities.
    assert_eq!(a.store.sweep().await.unwrap(), 0);
    assert_eq!(a.store.limited("stripe".to_owned()).await.unwrap(), ["charge"]);
}
