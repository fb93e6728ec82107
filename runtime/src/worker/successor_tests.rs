//! Runs that fail or run out of time, and the attempts that follow them (PROTOCOL 66).

use super::*;
use crate::status::ExecutionStatus;
use crate::store::{Append, AppendOutcome, ExecutionRow, Find, MessageKind, NewChild, NewExecution, Terms};
use crate::worker::mailbox::Message;
use crate::worker::registry::Registry;
use crate::worker::thread::tests::{Bench, order};
use abide_core::flow::sleep;
use abide_core::{EventId, ExecutionId, Failure, RetryPolicy, Sel, Slot, WorkflowDef};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);

/// Fails. `HOPELESS`: in a way that no retry can fix.
struct Fails<const HOPELESS: bool>;

impl<const HOPELESS: bool> WorkflowDef for Fails<HOPELESS> {
    const NAME: &'static str = "Order";
    type State = ();
    type Args = ();
    type Returned = Result<u32, Failure>;
    type Outcome = Sel<Result<u32, Failure>, true>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> Result<u32, Failure> {
        let failure = Failure::new("down");
        Err(if HOPELESS { failure.non_retryable() } else { failure })
    }
}

struct Sleeps;

impl WorkflowDef for Sleeps {
    const NAME: &'static str = "Order";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> u32 {
        sleep(HOUR).await;
        7
    }
}

async fn bench<W: WorkflowDef>() -> Bench {
    let mut registry = Registry::default();
    registry.workflow::<W>();
    Bench::with(registry).await
}

/// What a run begins with that has three attempts.
fn context(initial_interval: Duration) -> StartContext {
    let policy = RetryPolicy { max_attempts: 3, initial_interval, ..RetryPolicy::default() };
    StartContext { retry: Some(policy), run_timeout_ms: Some(60_000), ..StartContext::default() }
}

/// A start of a run that has three attempts.
fn three(id: ExecutionId, wait: Duration) -> NewExecution {
    let context = Some(to_json(&context(wait)));
    NewExecution { terms: Terms { context, ..Terms::default() }, ..order(id) }
}

/// Starts it here.
fn start(bench: &mut Bench, new: NewExecution) -> ExecutionId {
    let (id, (reply, _answer)) = (new.id, tokio::sync::oneshot::channel());
    bench.thread.take(Message::Start { new: Box::new(new), reply });
    id
}

/// The runs of a chain so far, once its newest run is as asked.
async fn chain(
    bench: &mut Bench,
    first: ExecutionId,
    ends: impl Fn(&ExecutionRow) -> bool,
) -> Vec<ExecutionRow> {
    let (mut rows, mut next, began) = (Vec::new(), first, Instant::now());
    while began.elapsed() < Duration::from_secs(60) {
        bench.round();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let Some(row) = bench.store.find(Find::Execution(next)).await.unwrap() else { continue };
        let done = ends(&row);
        match row.next {
            Some(id) => next = id,
            None if !done => continue,
            None => {}
        }
        rows.push(row);
        assert!(rows.len() <= 3, "three attempts at most: {rows:?}");
        if done {
            return rows;
        }
    }
    panic!("the chain does not end: {rows:?}");
}

fn is_last(row: &ExecutionRow) -> bool {
    !row.status.is_open() && row.next.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_attempt_ends_the_chain() {
    let mut bench = bench::<Fails<false>>().await;
    let id = bench.store.execution_id();
    start(&mut bench, three(id, Duration::from_millis(1)));
    let runs = chain(&mut bench, id, is_last).await;
    assert_eq!(runs.iter().map(|row| row.status).collect::<Vec<_>>(), [ExecutionStatus::Failed; 3]);
    assert!(runs.iter().all(|row| row.chain() == id && row.workflow_id == runs[0].workflow_id));
    assert_eq!(runs[1].input.as_deref(), Some("null"), "the same arguments");
    // Each has its own time, from when it is due.
    let limit = |row: &ExecutionRow| row.close_by_ms.unwrap() - row.created_at_ms;
    assert_eq!((limit(&runs[1]), limit(&runs[2])), (60_001, 60_002));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_no_retry_can_fix_ends_the_chain() {
    let mut bench = bench::<Fails<true>>().await;
    let id = bench.store.execution_id();
    start(&mut bench, three(id, Duration::from_millis(1)));
    let runs = chain(&mut bench, id, |row| !row.status.is_open()).await;
    assert_eq!((runs.len(), runs[0].status, runs[0].next), (1, ExecutionStatus::Failed, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_waits_for_its_time_with_an_owner_or_without() {
    for (wait, owned) in [(Duration::from_secs(9), true), (HOUR, false)] {
        let mut bench = bench::<Fails<false>>().await;
        let id = bench.store.execution_id();
        start(&mut bench, three(id, wait));
        let runs = chain(&mut bench, id, |row| row.status.is_open() && row.id != id).await;
        let (first, second) = (&runs[0], &runs[1]);
        assert_eq!((first.status, first.next), (ExecutionStatus::Failed, Some(second.id)));
        assert_eq!((second.owner, second.history_len), (owned.then_some(bench.thread.session.me), 0));
        let due_ms = second.created_at_ms + wait.as_millis() as i64;
        assert_eq!((second.wake_at_ms, second.close_by_ms), (Some(due_ms), Some(due_ms + 60_000)));
        assert_eq!(Some(second.created_at_ms), first.closed_at_ms);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_is_told_of_the_last_attempt_only() {
    for (wait, attempts, told) in [(HOUR, 2, 0), (Duration::from_millis(1), 3, 1)] {
        let mut bench = bench::<Fails<false>>().await;
        let (parent, child, me) =
            (bench.store.execution_id(), bench.store.execution_id(), bench.thread.session.me);
        let child_of = NewChild {
            id: child,
            workflow_id: "child".to_owned(),
            run_id: "child-1".to_owned(),
            name: None,
            workflow_type: "Order".to_owned(),
            queue: "q".to_owned(),
            owner: None,
            input: "null".to_owned(),
            context: to_json(&StartContext {
                parent: Some(abide_core::Parent::new("w", "r")),
                ..context(wait)
            }),
            parent,
            child_no: EventId(2),
            close_policy: 2,
            close_by: None,
            chain_by: None,
            created_at: 1,
            starts: true,
        };
        let (seq, n, body) = (EventId(1), 1, r#"[{"timer_started":{"fire_at_ms":1}}]"#.to_owned());
        let new = NewExecution { workflow_type: "Parent".to_owned(), ..order(parent) };
        let births = vec![new];
        let append = Append { seq, n, body, births, children: vec![child_of], ..Append::bare(me, parent, 1) };
        let (tell, done) = tokio::sync::oneshot::channel();
        bench.store.submit(append, Box::new(|outcome| drop(tell.send(outcome))));
        assert!(matches!(done.await.unwrap(), Ok(AppendOutcome::Done)));
        bench.claim(me).await;
        bench.own(child);
        let ends = |row: &ExecutionRow| if told == 0 { row.id != child } else { is_last(row) };
        let runs = chain(&mut bench, child, ends).await;
        assert_eq!((runs.len(), runs[0].status), (attempts, ExecutionStatus::Failed));
        let inbox = bench.store.load(parent).await.unwrap().unwrap().inbox;
        let kinds: Vec<_> = inbox.iter().map(|row| (row.kind, row.request_id.as_str())).collect();
        assert_eq!(kinds, vec![(MessageKind::ChildEnded, "child/2"); told]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_time_is_up_is_followed_by_one_without_an_owner() {
    for lives_here in [true, false] {
        let mut bench = bench::<Sleeps>().await;
        let id = bench.store.execution_id();
        let now_ms = bench.store.now_ms();
        let mut new = three(id, Duration::from_secs(9));
        new.terms.close_by_ms = Some(now_ms + if lives_here { 50 } else { 0 });
        if lives_here {
            start(&mut bench, new);
        } else {
            // It never begins: the row alone says what it would begin with.
            bench.store.start(new).await.unwrap();
            bench.claim(bench.thread.session.me).await;
            bench.own(id);
        }
        let runs = chain(&mut bench, id, |row| row.status.is_open() && row.id != id).await;
        let (first, second) = (&runs[0], &runs[1]);
        assert_eq!(
            (first.status, first.history_len),
            (ExecutionStatus::TimedOut, if lives_here { 3 } else { 1 })
        );
        assert_eq!((second.owner, second.input.as_deref()), (None, Some("null")));
        let due_ms = first.closed_at_ms.unwrap() + 9_000;
        assert_eq!((second.wake_at_ms, second.close_by_ms), (Some(due_ms), Some(due_ms + 60_000)));
        let begins: StartContext = serde_json::from_str(second.context.as_deref().unwrap()).unwrap();
        assert_eq!(begins.attempt(), 2);
    }
}
