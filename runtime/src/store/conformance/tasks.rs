//! Tasks: an attempt is ended once, by the write that finds its row; claims, releases, deaths and time limits.

use super::*;
use abide_core::exec::AttemptOutcome;
use abide_core::{FailureKind, TimeoutKind};

/// Attempt `attempt` of activity `activity`, for queue `gpu`.
pub(super) fn task(activity: u64, attempt: u32) -> NewTask {
    NewTask {
        activity: EventId(activity),
        attempt,
        queue: Some("gpu".to_owned()),
        name: "transcode".to_owned(),
        input: r#"["clip",7]"#.to_owned(),
        limits: r#"{"start_to_close_ms":5}"#.to_owned(),
        run_at_ms: 1,
        start_by_ms: None,
        close_by_ms: None,
        details: None,
        place: crate::store::Place::default(),
    }
}

/// A row that only arbitrates.
pub(super) fn token(activity: u64, attempt: u32) -> NewTask {
    NewTask { queue: None, input: String::new(), ..task(activity, attempt) }
}

pub(super) fn key(execution: ExecutionId, activity: u64, attempt: u32) -> TaskKey {
    TaskKey { execution, activity: EventId(activity), attempt, nonce: 0 }
}

/// A key without its nonce.
fn named(key: TaskKey) -> TaskKey {
    TaskKey { nonce: 0, ..key }
}

pub(super) fn body(activity: u64, attempt: u32) -> String {
    format!(r#"{{"activity":{activity},"attempt":{attempt},"outcome":{{"completed":"done {attempt}"}}}}"#)
}

impl Process {
    /// A turn with one event and these changes.
    pub(super) async fn change(&self, of: ExecutionId, seq: u64, tasks: Vec<TaskChange>) -> AppendOutcome {
        self.append(Append { tasks, ..self.turn(of, seq, 1) }).await.unwrap()
    }

    /// A running execution whose second event is an activity for `gpu`.
    pub(super) async fn calling(&self, name: &str) -> ExecutionId {
        let id = self.running(name).await;
        assert!(matches!(
            self.change(id, 2, vec![TaskChange::Insert(task(2, 1))]).await,
            AppendOutcome::Done
        ));
        id
    }

    pub(super) fn wants(&self) -> TaskClaim {
        let names = vec!["other".to_owned(), "transcode".to_owned()];
        TaskClaim {
            owner: self.me,
            queues: vec!["gpu".to_owned()],
            names,
            limit: 10,
            turn: Default::default(),
        }
    }

    pub(super) async fn tasks(&self) -> Vec<Task> {
        self.store.claim_tasks(self.wants()).await.unwrap().tasks
    }

    pub(super) async fn finish(&self, key: TaskKey) -> bool {
        let body = body(key.activity.0, key.attempt);
        // One without a nonce is the attempt as this worker has it.
        let mut mine = self.store.owned_tasks(self.me).await.unwrap().into_iter().map(|task| task.key);
        let key = mine.find(|mine| key.nonce == 0 && named(*mine) == key).unwrap_or(key);
        self.store.finish_task(self.me, key, body).await.unwrap()
    }

    /// The outcomes in an execution's inbox: dedup key and outcome.
    pub(super) async fn outcomes(&self, of: ExecutionId) -> Vec<(String, AttemptOutcome)> {
        let rows = self.run(of).await.inbox;
        let outcomes = rows.into_iter().filter(|row| row.kind == MessageKind::Attempt).map(|row| {
            let body: AttemptBody = serde_json::from_str(&row.body).unwrap();
            assert_eq!(row.request_id, format!("attempt/{}/{}", body.activity, body.attempt));
            assert!(!body.kept, "its row went with it");
            (row.request_id, body.outcome)
        });
        outcomes.collect()
    }

    /// The only outcome's kind of failure.
    pub(super) async fn failure(&self, of: ExecutionId) -> (FailureKind, bool) {
        match self.outcomes(of).await.as_slice() {
            [(_, AttemptOutcome::Failed { failure, retryable, .. })] => (failure.kind, *retryable),
            other => panic!("not one failure: {other:?}"),
        }
    }

    async fn is_left(&self, of: ExecutionId) -> bool {
        self.tasks().await.iter().any(|task| task.key.execution == of)
            || self.store.owned_tasks(self.me).await.unwrap().iter().any(|task| task.key.execution == of)
    }
}

pub(super) async fn a_task_is_claimed_by_one_and_ended_once(lab: Lab) {
    let (a, b, c) = (lab.process().await, lab.process().await, lab.process().await);
    let id = a.calling("order-1").await;
    let (at_b, at_c) = tokio::join!(b.tasks(), c.tasks());
    let (worker, tasks) = if at_b.is_empty() { (&c, at_c) } else { (&b, at_b) };
    let [taken] = tasks.as_slice() else { panic!("{tasks:?}") };
    assert_eq!((named(taken.key), taken.name.as_str()), (key(id, 2, 1), "transcode"));
    assert_eq!(
        (taken.input.as_str(), taken.limits.as_str()),
        (r#"["clip",7]"#, r#"{"start_to_close_ms":5}"#)
    );
    let names = (taken.workflow_id.as_str(), taken.run_id.clone(), taken.workflow_type.as_str());
    assert_eq!(names, ("order-1", a.row(id).await.run_id, "Order"));
    let mine = worker.store.owned_tasks(worker.me).await.unwrap();
    assert_eq!(mine, [OwnedTask { key: taken.key, cancel: false }]);
    assert!(!a.finish(taken.key).await, "it is not this worker's");
    assert!(!worker.finish(TaskKey { attempt: 2, ..taken.key }).await, "there is no such attempt");
    assert!(worker.finish(taken.key).await);
    assert!(!worker.finish(taken.key).await, "once");
    let outcomes = a.outcomes(id).await;
    assert!(matches!(outcomes.as_slice(), [(id, AttemptOutcome::Completed(_))] if id == "attempt/2/1"));
    assert_eq!(worker.store.owned_tasks(worker.me).await.unwrap(), []);
}

pub(super) async fn claims_keep_to_queue_name_time_and_limit(lab: Lab) {
    let a = lab.process().await;
    let id = a.running("order-1").await;
    let later = a.store.now_ms() + 60_000;
    let mut tasks: Vec<NewTask> = (2..6).map(|n| NewTask { run_at_ms: n, ..task(n as u64, 1) }).collect();
    tasks.push(NewTask { run_at_ms: later, ..task(6, 1) });
    tasks.push(token(7, 1));
    a.append(Append { tasks: tasks.into_iter().map(TaskChange::Insert).collect(), ..a.turn(id, 2, 6) })
        .await
        .unwrap();
    for (queue, name) in [("other", "transcode"), ("gpu", "render")] {
        let wants = TaskClaim { queues: vec![queue.into()], names: vec![name.into()], ..a.wants() };
        let claimed = a.store.claim_tasks(wants).await.unwrap();
        assert_eq!((claimed.tasks, claimed.next_due_ms), (vec![], None), "{queue} {name}");
    }
    let some = a.store.claim_tasks(TaskClaim { limit: 3, ..a.wants() }).await.unwrap();
    let activities = |tasks: &[Task]| tasks.iter().map(|task| task.key.activity.0).collect::<Vec<_>>();
    assert_eq!(activities(&some.tasks), [2, 3, 4], "the oldest first");
    assert!(some.next_due_ms.unwrap() <= a.store.now_ms(), "more is due");
    let rest = a.store.claim_tasks(a.wants()).await.unwrap();
    assert_eq!((activities(&rest.tasks), rest.next_due_ms), (vec![5], Some(later)));
}

pub(super) async fn what_was_never_begun_is_given_back(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = a.calling("order-1").await;
    let keys: Vec<_> = b.tasks().await.iter().map(|task| task.key).collect();
    a.store.release_tasks(a.me, keys.clone()).await.unwrap();
    assert_eq!(b.store.owned_tasks(b.me).await.unwrap().len(), 1, "only its own may be given back");
    b.store.release_tasks(b.me, keys.clone()).await.unwrap();
    assert!(!b.finish(keys[0]).await);
    let again = a.tasks().await;
    assert_eq!(
        again.iter().map(|task| named(task.key)).collect::<Vec<_>>(),
        [named(keys[0])],
        "the same attempt"
    );
    assert!(a.outcomes(id).await.is_empty());
}

pub(super) async fn a_retry_comes_in_the_place_of_an_attempt_that_is_there(lab: Lab) {
    let a = lab.process().await;
    let id = a.running("order-1").await;
    let replace = |of| TaskChange::Replace { of, with: task(2, of + 1) };
    let settle = |attempt| TaskChange::Settle { activity: EventId(2), attempt };
    for change in [replace(1), settle(1)] {
        assert!(matches!(a.change(id, 2, vec![change]).await, AppendOutcome::Conflict), "nothing is there");
    }
    assert!(matches!(a.change(id, 2, vec![TaskChange::Insert(token(2, 1))]).await, AppendOutcome::Done));
    for change in [replace(2), settle(2)] {
        assert!(matches!(a.change(id, 3, vec![change]).await, AppendOutcome::Conflict), "another attempt is");
    }
    assert_eq!(a.store.journal(id).await.unwrap().len(), 2, "nothing of a conflict is in");
    assert!(matches!(a.change(id, 3, vec![replace(1)]).await, AppendOutcome::Done));
    assert_eq!(a.tasks().await.iter().map(|task| named(task.key)).collect::<Vec<_>>(), [key(id, 2, 2)]);
    assert!(matches!(a.change(id, 4, vec![settle(2)]).await, AppendOutcome::Done));
    assert!(!a.finish(key(id, 2, 2)).await);
    assert!(a.outcomes(id).await.is_empty(), "the owner knows what it has decided");
}

pub(super) async fn an_outcome_that_was_first_wins_against_the_owner_and_its_neighbours_go_on(lab: Lab) {
    let a = lab.process().await;
    let (id, other) = (a.calling("order-1").await, a.running("order-2").await);
    let [taken] = a.tasks().await.try_into().unwrap();
    assert!(a.finish(taken.key).await);
    let replace = TaskChange::Replace { of: 1, with: task(2, 2) };
    let late = a.submit(Append { tasks: vec![replace], ..a.turn(id, 3, 1) });
    let fine = a.submit(Append { tasks: vec![TaskChange::Insert(task(2, 1))], ..a.turn(other, 2, 1) });
    assert!(matches!(late.await.unwrap(), Ok(AppendOutcome::Conflict)));
    assert!(matches!(fine.await.unwrap(), Ok(AppendOutcome::Done)));
    assert_eq!(a.tasks().await.iter().map(|task| named(task.key)).collect::<Vec<_>>(), [key(other, 2, 1)]);
    // Its end has deleted its row: the next attempt is a new one.
    assert!(matches!(a.change(id, 3, vec![TaskChange::Insert(task(2, 2))]).await, AppendOutcome::Done));
    assert_eq!(a.tasks().await.iter().map(|task| named(task.key)).collect::<Vec<_>>(), [key(id, 2, 2)]);
}

pub(super) async fn what_nobody_wants_any_more_goes_begun_or_not(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (begun, fresh) = (a.calling("order-1").await, a.running("order-2").await);
    let [taken] = b.tasks().await.try_into().unwrap();
    for (id, seq) in [(begun, 3), (fresh, 2)] {
        let changes = vec![TaskChange::Drop(EventId(2))];
        assert!(matches!(a.change(id, seq, changes).await, AppendOutcome::Done), "also where no row is");
    }
    assert_eq!(b.store.owned_tasks(b.me).await.unwrap(), []);
    assert!(!b.finish(taken.key).await);
    assert!(a.outcomes(begun).await.is_empty());
}

pub(super) async fn a_cancel_asks_whoever_runs_it_and_ends_what_nobody_has_begun(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (begun, given_back) = (a.calling("order-1").await, a.calling("order-2").await);
    let taken = b.tasks().await;
    let waiting = a.calling("order-3").await;
    for id in [begun, given_back, waiting] {
        assert!(matches!(a.change(id, 3, vec![TaskChange::Cancel(EventId(2))]).await, AppendOutcome::Done));
    }
    let cancelled = |outcomes: Vec<(String, AttemptOutcome)>| match outcomes.as_slice() {
        [(id, AttemptOutcome::Cancelled)] => id == "attempt/2/1",
        _ => false,
    };
    assert!(cancelled(a.outcomes(waiting).await));
    assert!(!a.is_left(waiting).await);
    let mine = b.store.owned_tasks(b.me).await.unwrap();
    assert_eq!(mine.iter().map(|task| task.cancel).collect::<Vec<_>>(), [true, true]);
    assert!(a.outcomes(begun).await.is_empty(), "its end is waited for");
    assert!(b.finish(taken[0].key).await);
    assert_eq!(a.outcomes(begun).await.len(), 1);
    b.store.release_tasks(b.me, vec![taken[1].key]).await.unwrap();
    assert!(cancelled(a.outcomes(given_back).await), "never begun after all");
    assert!(!a.is_left(given_back).await);
}

pub(super) async fn the_attempts_of_the_dead_are_lost_and_wake_their_executions(lab: Lab) {
    let short = Settings { lease: Some(Duration::from_millis(600)), ..Settings::default() };
    let (a, b) = (lab.process().await, lab.process_with(short).await);
    let id = a.calling("order-1").await;
    assert_eq!(b.tasks().await.len(), 1);
    let released = RowChange { release: true, wake_at_ms: Some(None), ..RowChange::default() };
    let append = Append { row: Some(released), ..a.turn(id, 3, 1) };
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(ids(&a.claim().await), [], "it waits");
    let dead = b.me;
    b.die().await;
    lab.found_dead(&a, dead).await;
    assert_eq!(a.store.take_over(dead).await.unwrap(), 0, "it owned no execution");
    assert_eq!(a.store.dead().await.unwrap().dead, []);
    assert_eq!(a.failure(id).await, (FailureKind::WorkerLost, true));
    assert!(!a.is_left(id).await);
    assert_eq!(ids(&a.claim().await), [id], "an outcome is a wake-up");
}

pub(super) async fn the_attempts_of_one_that_leaves_are_lost_and_those_of_the_owner_are_not(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = a.calling("order-1").await;
    assert_eq!(b.tasks().await.len(), 1);
    assert!(matches!(a.change(id, 3, vec![TaskChange::Insert(token(3, 1))]).await, AppendOutcome::Done));
    b.store.unregister(b.me).await.unwrap();
    assert_eq!(a.failure(id).await, (FailureKind::WorkerLost, true));
    let settle = TaskChange::Settle { activity: EventId(3), attempt: 1 };
    assert!(matches!(a.change(id, 4, vec![settle]).await, AppendOutcome::Done), "the token is there");
}

pub(super) async fn time_ends_what_nobody_took_and_what_nobody_ended(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let now = a.store.now_ms();
    let of = async |name: &str, task: NewTask| {
        let id = a.running(name).await;
        assert!(matches!(a.change(id, 2, vec![TaskChange::Insert(task)]).await, AppendOutcome::Done));
        id
    };
    let begun = of("begun", NewTask { start_by_ms: Some(now + 300), ..task(2, 1) }).await;
    let slow = of("slow", NewTask { close_by_ms: Some(now + 300), ..task(2, 1) }).await;
    assert_eq!(b.tasks().await.len(), 2);
    let late = of("late", NewTask { start_by_ms: Some(now), ..task(2, 1) }).await;
    let later = of("later", NewTask { start_by_ms: Some(now + 60_000), ..task(2, 1) }).await;
    assert_eq!(b.tasks().await.iter().map(|t| t.key.execution).collect::<Vec<_>>(), [later], "not the late");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(a.store.expire_tasks().await.unwrap(), 2);
    assert_eq!(a.store.expire_tasks().await.unwrap(), 0);
    let timed_out = FailureKind::TimedOut;
    assert_eq!(a.failure(late).await, (timed_out(TimeoutKind::ScheduleToStart), false));
    assert_eq!(a.failure(slow).await, (timed_out(TimeoutKind::ScheduleToClose), false));
    assert!(!b.finish(key(slow, 2, 1)).await);
    assert!(b.finish(key(begun, 2, 1)).await, "it was begun in time");
}

pub(super) async fn a_close_and_a_terminate_leave_no_task(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (closed, ended, open) =
        (a.calling("order-1").await, a.calling("order-2").await, a.calling("order-3").await);
    let taken = b.tasks().await;
    assert!(matches!(a.append(a.close(closed, 3)).await, Ok(AppendOutcome::Done)));
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    assert_eq!(a.store.terminate(ended, "t1".to_owned(), event).await.unwrap(), SendAnswer::Sent);
    let left: Vec<_> = b.store.owned_tasks(b.me).await.unwrap().iter().map(|task| named(task.key)).collect();
    assert_eq!(left, [key(open, 2, 1)]);
    for task in taken {
        assert_eq!(b.finish(task.key).await, task.key.execution == open);
    }
    let late = a.change(ended, 3, vec![TaskChange::Replace { of: 1, with: task(2, 2) }]).await;
    assert!(matches!(late, AppendOutcome::Lost), "no conflict: it is over");
}

pub(super) async fn a_close_deletes_tasks_whatever_else_it_changes_of_them(lab: Lab) {
    let process = lab.process().await;
    let close = Some(closed(ExecutionStatus::Completed));
    let new = process.new_execution("order-1");
    let at_once =
        Append { close: close.clone(), tasks: vec![TaskChange::Insert(task(2, 1))], ..process.create(new) };
    assert!(matches!(process.append(at_once).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.tasks().await, []);
    // An attempt that was decided otherwise has left its outcome in the inbox, which keeps the close out.
    // Without one there is nothing to decide.
    let settle = TaskChange::Settle { activity: EventId(2), attempt: 1 };
    let id = process.running("order-2").await;
    let close =
        Append { close, tasks: vec![settle, TaskChange::Insert(task(3, 1))], ..process.turn(id, 2, 1) };
    let outcome = process.append(close).await;
    assert!(matches!(outcome, Ok(AppendOutcome::Done)), "{outcome:?}");
    assert_eq!(process.tasks().await, []);
}

pub(super) async fn an_outcome_holds_up_a_close(lab: Lab) {
    let a = lab.process().await;
    let id = a.calling("order-1").await;
    let [taken] = a.tasks().await.try_into().unwrap();
    assert!(a.finish(taken.key).await);
    assert!(matches!(a.append(a.close(id, 3)).await, Ok(AppendOutcome::Conflict)));
    let consumed = a.run(id).await.inbox.iter().map(|row| row.id).collect();
    assert!(matches!(a.append(Append { consumed, ..a.close(id, 3) }).await, Ok(AppendOutcome::Done)));
}

pub(super) async fn whoever_holds_no_lease_takes_and_ends_nothing(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let first = a.calling("order-1").await;
    let [taken] = b.tasks().await.try_into().unwrap();
    let second = a.calling("order-2").await;
    let zombie = b.me;
    b.store.unregister(zombie).await.unwrap();
    assert!(matches!(b.store.claim_tasks(b.wants()).await, Err(StoreError::Fenced)));
    assert!(matches!(b.store.finish_task(zombie, taken.key, body(2, 1)).await, Err(StoreError::Fenced)));
    assert_eq!(a.failure(first).await, (FailureKind::WorkerLost, true));
    assert_eq!(a.tasks().await.iter().map(|task| named(task.key)).collect::<Vec<_>>(), [key(second, 2, 1)]);
    let refused = Append { owner: zombie, tasks: vec![TaskChange::Drop(EventId(2))], ..a.turn(second, 3, 1) };
    assert!(matches!(a.append(refused).await, Err(StoreError::Fenced)));
    assert!(a.finish(key(second, 2, 1)).await, "the zombie took nothing away");
}

pub(super) async fn a_start_that_is_refused_leaves_no_task(lab: Lab) {
    let a = lab.process().await;
    a.running("order-1").await;
    let again = a.new_execution("order-1");
    let create = Append { tasks: vec![TaskChange::Insert(task(1, 1))], ..a.create(again) };
    assert!(matches!(a.append(create).await, Ok(AppendOutcome::Duplicate(_))));
    assert!(a.tasks().await.is_empty());
    let new = a.new_execution("order-2");
    let create = Append { tasks: vec![TaskChange::Insert(task(1, 1))], ..a.create(new.clone()) };
    assert!(matches!(a.append(create).await, Ok(AppendOutcome::Done)));
    assert_eq!(a.tasks().await.iter().map(|task| named(task.key)).collect::<Vec<_>>(), [key(new.id, 1, 1)]);
}

pub(super) async fn workers_of_the_process_are_told(lab: Lab) {
    let a = lab.process().await;
    a.store.register(WorkerInfo { queue: "gpu".to_owned(), ..WorkerInfo::default() }).await.unwrap();
    let mut changes = a.store.changes();
    let mut told = async |what: &str| {
        let told = tokio::time::timeout(Duration::from_secs(5), changes.changed()).await;
        assert!(told.is_ok(), "{what}");
    };
    let id = a.calling("order-1").await;
    told("a task").await;
    let [taken] = a.tasks().await.try_into().unwrap();
    assert!(a.finish(taken.key).await);
    told("an outcome").await;
    let again = vec![TaskChange::Insert(task(3, 1))];
    assert!(matches!(a.change(id, 3, again).await, AppendOutcome::Done));
    told("another task").await;
    assert_eq!(a.tasks().await.len(), 1);
    assert!(matches!(a.change(id, 4, vec![TaskChange::Drop(EventId(3))]).await, AppendOutcome::Done));
    told("something to stop").await;
}
