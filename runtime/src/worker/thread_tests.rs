//! What a thread keeps, reads and releases, for messages in a given order (PROTOCOL 34).

use super::*;
use crate::Abide;
use crate::host::Host;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::store::memory::{ConnectOptions, Server, ServerOptions};
use crate::store::{
    Append, AppendOutcome, Claim, NewExecution, RowChange, StartAnswer, Store, StoredTurn, Suspicion,
    WorkerInfo,
};
use crate::worker::mailbox::Message;
use crate::worker::registry::Registry;
use crate::worker::rounds;
use crate::worker::run::Phase;
use crate::worker::stored::{self, Found, Loaded};
use abide_core::flow::{sleep, timeout};
use abide_core::{
    ActivityCall, ActivityDef, ActivityOptions, CancellationType, Incarnation, Sel, Slot, WorkflowDef,
};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A start of an order.
pub(in crate::worker) fn order(id: ExecutionId) -> NewExecution {
    NewExecution {
        id,
        workflow_id: format!("w{id}"),
        run_id: format!("r{id}"),
        request_id: None,
        workflow_type: "Order".to_owned(),
        queue: "q".to_owned(),
        input: "null".to_owned(),
        created_at_ms: 1,
        terms: crate::store::Terms::default(),
        reuse: IdReusePolicy::default(),
        conflict: IdConflictPolicy::default(),
        terminate_event: None,
        with: Vec::new(),
    }
}

/// Ends at once.
pub(in crate::worker) struct Order;

impl WorkflowDef for Order {
    const NAME: &'static str = "Order";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}
    async fn run(_: Slot<()>, (): ()) -> u32 {
        7
    }
}

/// An activity that never ends. A workflow that gives it up waits for its end.
pub(in crate::worker) struct Queued;

impl ActivityDef for Queued {
    const NAME: &'static str = "queued";
    type Host = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn options() -> ActivityOptions {
        let cancellation = CancellationType::WaitCancellationCompleted;
        ActivityOptions { cancellation, ..ActivityOptions::default() }
    }

    async fn call((): &(), (): ()) -> u32 {
        std::future::pending().await
    }
}

/// Gives its activity up at once, and ends when the activity has ended.
pub(in crate::worker) struct GivesUp;

impl WorkflowDef for GivesUp {
    const NAME: &'static str = "Order";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}
    async fn run(_: Slot<()>, (): ()) -> u32 {
        let waited = timeout(Duration::from_millis(1), ActivityCall::<Queued>::new(())).await;
        u32::from(waited.is_err())
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Panics when its timer fires, after an hour. Its activity never ends.
pub(in crate::worker) struct Panics;

impl WorkflowDef for Panics {
    const NAME: &'static str = "Order";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> u32 {
        let (mut activity, mut timer) = (pin!(ActivityCall::<Queued>::new(())), pin!(sleep(HOUR)));
        poll_fn(move |cx| {
            assert!(timer.as_mut().poll(cx).is_pending(), "a bug");
            activity.as_mut().poll(cx)
        })
        .await
        .unwrap_or_default()
    }
}

/// A thread that the test drives. Without a workflow type it suspends what it loads.
pub(in crate::worker) struct Bench {
    pub(in crate::worker) store: Arc<dyn Store>,
    pub(in crate::worker) thread: Thread,
    mailbox: Receiver<Message>,
    /// What the clock is ahead, in ms.
    ahead_ms: Arc<AtomicI64>,
}

impl Bench {
    pub(in crate::worker) async fn new() -> Self {
        Self::with(Registry::default()).await
    }

    pub(in crate::worker) async fn with(registry: Registry) -> Self {
        #[cfg(all(feature = "mutants", feature = "sqlite", feature = "postgres"))]
        crate::store::postgres::permutations::mutants::let_live_by_environment();
        let began = Instant::now();
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&ahead_ms);
        let clock =
            move || i64::try_from(began.elapsed().as_millis()).unwrap() + ahead.load(Ordering::Relaxed);
        let clock = Arc::new(move || 1_000_000 + clock());
        let store = Server::new(ServerOptions::new(clock)).connect(ConnectOptions::default());
        let store: Arc<dyn Store> = store;
        let me = Self::worker(&store).await;
        let abide = Abide::of(Arc::clone(&store), Host::default());
        let session = Session::new(abide, "q".to_owned(), me, Arc::new(registry), Arc::default());
        rounds::spawn_all(&session);
        let (sender, mailbox) = channel();
        let thread = Thread::new(session, Arc::new(ThreadHandle::new(0, sender)));
        Self { store, thread, mailbox, ahead_ms }
    }

    /// With a started run of [`Panics`], whose first turn is durable.
    pub(in crate::worker) async fn panicking() -> (Self, ExecutionId) {
        let mut registry = Registry::default();
        registry.workflow::<Panics>();
        registry.activity::<Queued>(Arc::new(()));
        let mut bench = Self::with(registry).await;
        let id = bench.store.execution_id();
        let (reply, _answer) = tokio::sync::oneshot::channel();
        bench.thread.take(Message::Start { new: Box::new(order(id)), reply });
        let began = Instant::now();
        while !bench.thread.runs.get(&id).is_some_and(|run| matches!(run.phase, Phase::Idle(_))) {
            bench.round();
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(began.elapsed() < Duration::from_secs(60), "it is not started");
        }
        (bench, id)
    }

    async fn worker(store: &Arc<dyn Store>) -> Incarnation {
        store.register(WorkerInfo { queue: "q".to_owned(), ..WorkerInfo::default() }).await.unwrap()
    }

    /// An execution that this worker has claimed.
    pub(in crate::worker) async fn claimed(&self) -> ExecutionId {
        let id = self.store.execution_id();
        let started = self.store.start(order(id));
        assert!(matches!(started.await.unwrap(), StartAnswer::Started));
        self.claim(self.thread.session.me).await;
        id
    }

    pub(in crate::worker) async fn claim(&self, owner: Incarnation) {
        let claim = Claim {
            owner,
            queues: vec!["q".to_owned()],
            types: Some(vec!["Order".to_owned()]),
            build: "b1".to_owned(),
            limit: 10,
            suspicion: Suspicion { suspect: None, crash_limit: 5 },
        };
        assert_eq!(self.store.claim(claim).await.unwrap().rows.len(), 1);
    }

    /// Releases an execution behind the thread's back, as an old append would.
    async fn release(&self, id: ExecutionId) {
        let row = RowChange { release: true, wake_at_ms: Some(Some(1)), ..RowChange::default() };
        let rev = self.store.load(id).await.unwrap().unwrap().row.rev;
        let append = Append { row: Some(row), rev: Some(rev), ..Append::bare(self.thread.session.me, id, 1) };
        let (tell, told) = tokio::sync::oneshot::channel();
        self.store.submit(append, Box::new(|outcome| drop(tell.send(outcome))));
        assert!(matches!(told.await.unwrap(), Ok(AppendOutcome::Done)));
    }

    /// Takes in the messages that have arrived, and advances the executions.
    pub(in crate::worker) fn round(&mut self) {
        let first = self.mailbox.try_recv().ok();
        assert!(self.thread.round(first, &self.mailbox).is_continue());
    }

    pub(in crate::worker) fn own(&mut self, execution: ExecutionId) {
        self.thread.take(Message::Own { execution });
    }

    pub(in crate::worker) fn loading(&self, execution: ExecutionId) -> Option<u64> {
        match self.thread.runs.get(&execution)?.phase {
            Phase::Loading { load, .. } => Some(load),
            _ => None,
        }
    }

    pub(in crate::worker) fn is_writing(&self, execution: ExecutionId) -> bool {
        matches!(self.thread.runs[&execution].phase, Phase::Writing(..) | Phase::Leaving(_))
    }

    /// The answer to a load, from what is stored now.
    pub(in crate::worker) async fn answer(&self, execution: ExecutionId, load: u64) -> Message {
        let run = self.store.load(execution).await.unwrap().unwrap();
        let journal = stored::decode(run.journal.unwrap(), &run.attempts, run.beats);
        Message::Load(Box::new(Loaded {
            execution,
            load,
            found: Some(Found { row: run.row, journal, inbox: run.inbox }),
        }))
    }
}

#[tokio::test]
async fn an_answer_to_an_earlier_load_is_dropped() {
    let mut bench = Bench::new().await;
    let id = bench.claimed().await;
    bench.own(id);
    let first = bench.loading(id).unwrap();
    let late = bench.answer(id, first).await;
    // Its entry was removed, and came back by another `Own` message.
    bench.thread.take(Message::Terminated { execution: id });
    assert!(!bench.thread.session.owns(id));
    bench.own(id);
    let second = bench.loading(id).unwrap();
    assert_ne!(first, second);
    bench.thread.take(late);
    assert_eq!(bench.loading(id), Some(second), "the entry waits for its own load");
    let answer = bench.answer(id, second).await;
    bench.thread.take(answer);
    assert!(bench.is_writing(id), "it is taken: a type that nobody has is suspended");
}

#[tokio::test]
async fn a_late_answer_that_no_entry_waits_for_revives_nothing() {
    let mut bench = Bench::new().await;
    let id = bench.claimed().await;
    bench.own(id);
    let late = bench.answer(id, bench.loading(id).unwrap()).await;
    bench.thread.take(Message::Terminated { execution: id });
    bench.thread.take(late);
    assert!(bench.thread.runs.is_empty() && !bench.thread.session.owns(id));
}

#[tokio::test]
async fn what_the_row_gives_to_another_is_let_go() {
    let mut bench = Bench::new().await;
    let id = bench.claimed().await;
    bench.own(id);
    bench.release(id).await;
    let other = Bench::worker(&bench.store).await;
    bench.claim(other).await;
    let answer = bench.answer(id, bench.loading(id).unwrap()).await;
    bench.thread.take(answer);
    assert!(bench.thread.runs.is_empty() && !bench.thread.session.owns(id));
    assert_eq!(bench.store.load(id).await.unwrap().unwrap().row.owner, Some(other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_looked_at_again_once_its_entry_is_let_go() {
    let mut bench = Bench::new().await;
    let id = bench.claimed().await;
    bench.own(id);
    let answer = bench.answer(id, bench.loading(id).unwrap()).await;
    bench.thread.take(answer);
    bench.own(id);
    assert!(bench.thread.runs[&id].named, "its append is on its way and may let it go");
    let Ok(acked) = bench.mailbox.recv_timeout(Duration::from_secs(10)) else { panic!("no answer") };
    let acked = if matches!(acked, Message::Load(_)) { bench.mailbox.recv().unwrap() } else { acked };
    let me = Arc::clone(&bench.thread.me);
    bench.thread.session.put_thread(bench.thread.session.home_of(id).index, me);
    bench.thread.take(acked);
    assert!(bench.thread.runs.is_empty(), "suspended and let go");
    // The answer to its own load may have come after the acknowledgement.
    let named = |message| matches!(message, Message::Own { execution } if execution == id);
    assert!(bench.mailbox.try_iter().any(named), "it is named again");
}

/// Its run was terminated and named again meanwhile: the answer is to an append of the entry before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_an_append_of_an_earlier_entry_takes_no_entry_away() {
    let mut bench = Bench::new().await;
    let id = bench.claimed().await;
    bench.own(id);
    let answer = bench.answer(id, bench.loading(id).unwrap()).await;
    bench.thread.take(answer);
    assert!(bench.is_writing(id));
    bench.thread.take(Message::Terminated { execution: id });
    bench.own(id);
    let load = bench.loading(id);
    bench.thread.take(Message::Acked { execution: id, result: Ok(AppendOutcome::Done) });
    assert_eq!(bench.loading(id), load, "it waits for its load");
    assert!(bench.thread.session.owns(id));
}

/// A start whose answer was lost is sent again, after its execution was claimed here.
#[tokio::test]
async fn a_start_of_what_lives_here_already_changes_nothing() {
    let mut registry = Registry::default();
    registry.workflow::<Order>();
    let mut bench = Bench::with(registry).await;
    let id = bench.claimed().await;
    bench.own(id);
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    bench.thread.take(Message::Start { new: Box::new(order(id)), reply });
    assert!(matches!(answer.try_recv(), Ok(Ok(None))), "the store is to be asked");
    assert_eq!(bench.loading(id), Some(1), "its entry waits for its load");
}

/// PROTOCOL 17: its activity was asked to stop before the worker leaves. The next owner finds that nothing runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_to_stop_and_runs_nowhere_is_due_at_once() {
    let mut registry = Registry::default();
    registry.workflow::<GivesUp>();
    registry.activity::<Queued>(Arc::new(()));
    let mut bench = Bench::with(registry).await;
    let id = bench.store.execution_id();
    let (reply, answer) = tokio::sync::oneshot::channel();
    bench.thread.take(Message::Start { new: Box::new(order(id)), reply });
    let written = async |bench: &Bench| bench.store.load(id).await.unwrap().map(|run| run.journal.unwrap());
    let gave_up =
        |turns: &[StoredTurn]| turns.iter().any(|turn| turn.body.contains("activity_cancel_requested"));
    let mut rounds = 0;
    while !written(&bench).await.is_some_and(|turns| gave_up(&turns)) {
        bench.round();
        tokio::time::sleep(Duration::from_millis(1)).await;
        rounds += 1;
        assert!(rounds < 10_000, "{:?}", bench.store.load(id).await);
    }
    assert!(matches!(answer.await.unwrap(), Ok(Some(StartAnswer::Started))));
    bench.thread.take(Message::Drain(CancellationToken::new()));
    while !bench.thread.runs.is_empty() {
        bench.round();
        tokio::time::sleep(Duration::from_millis(1)).await;
        rounds += 1;
        assert!(rounds < 20_000, "it is not let go");
    }
    let row = bench.store.load(id).await.unwrap().unwrap().row;
    assert_eq!(row.owner, None);
    assert!(row.wake_at_ms.is_some_and(|at| at <= bench.store.now_ms()), "nobody would claim it: {row:?}");
}

/// PROTOCOL 4: a retry that is due starts although its turn suspends the execution. The row says so, or the next owner
/// would start the same attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_of_a_turn_that_suspends_is_noted_in_the_row() {
    let (mut bench, id) = Bench::panicking().await;
    // Its worker dies, and this one takes it over when its timer is due: one turn loses the attempt and panics.
    bench.thread.take(Message::Terminated { execution: id });
    bench.thread.session.attempts.drop_all(id);
    bench.own(id);
    let mut answer = bench.answer(id, bench.loading(id).unwrap()).await;
    let Message::Load(loaded) = &mut answer else { unreachable!() };
    let found = loaded.found.as_mut().unwrap();
    (found.row.recovered_from, found.row.active) = (Some(Incarnation(77)), true);
    bench.ahead_ms.store(3_600_000, Ordering::Relaxed);
    bench.thread.take(answer);
    let began = Instant::now();
    let suspended = loop {
        bench.round();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let run = bench.store.load(id).await.unwrap().unwrap();
        if run.row.status == crate::status::ExecutionStatus::Suspended {
            break run;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{run:?}");
    };
    let [failed] = &suspended.attempts[..] else { panic!("{suspended:?}") };
    assert!(failed.next_at_ms <= suspended.row.retried_ms, "{suspended:?}");
}
