//! The operations of `postgres/permutations/`, played on the model: what each is told, and whether the second
//! waits for the first.
//!
//! The comparison with what a server says is in that folder. An operation is named as there.

mod attempts;
mod family;
mod limited;

use super::super::session::{Failure, Session, Style};
use super::super::statement::{Looked, Statement};
use super::super::tables::Lease;
use super::super::task::Ended;
use super::super::{batch, claim, ends, guard, handed, lease, limit, message, start, stream, task};
use super::*;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use crate::store::HandOut;
use crate::store::conformance::{chains, orphans};
use crate::store::failure::Kind;
use abide_core::{EventId, Incarnation, ParentClosePolicy};
use tokio::sync::oneshot;

/// How a pair went.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Played {
    /// What each was told, as a `Debug` text of `Told`.
    pub(in crate::store) told: [String; 2],
    /// Whether the second waited for the first.
    pub(in crate::store) waited: bool,
}

const LOCAL: EventId = EventId(2);
const REMOTE: EventId = EventId(3);
const WAITING: EventId = EventId(4);
const NEXT: u64 = 5;

/// As `postgres/permutations/scene.rs` has it.
struct Stage {
    scene: Scene,
    process: One,
    other: Incarnation,
    third: Incarnation,
    owned: ExecutionId,
    suspended: ExecutionId,
    parent: ExecutionId,
    child: ExecutionId,
    /// The attempt that `other` runs.
    remote: TaskKey,
}

/// One side's transaction: what it was told, and the word that ends it.
struct Side {
    told: oneshot::Receiver<String>,
    end: oneshot::Sender<bool>,
}

/// Plays one pair, on a runtime of its own.
pub(in crate::store) fn play(first: &'static str, second: &'static str, rolls_back: bool) -> Played {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let stage = Arc::new(Stage::set([first, second]).await);
        let one = perform(&stage, first, 0);
        let told_one = one.told.await.unwrap();
        let mut two = perform(&stage, second, 1);
        pass(10).await;
        let early = two.told.try_recv().ok();
        let waited = early.is_none();
        let _ = one.end.send(!rolls_back);
        let told_two = match early {
            Some(told) => told,
            None => two.told.await.unwrap(),
        };
        let _ = two.end.send(true);
        Played { told: [told_one, told_two], waited }
    })
}

fn perform(stage: &Arc<Stage>, op: &'static str, side: usize) -> Side {
    let ((tell, told), (end, ended)) = (oneshot::channel(), oneshot::channel());
    let (server, process, stage) = (Arc::clone(&stage.scene.server), stage.process.number, Arc::clone(stage));
    tokio::spawn(async move {
        let call = server.call(process, "pair", Style::Transaction, move |session| {
            Box::pin(async move {
                let told = match stage.run(session, op, side).await {
                    Ok(done) => done,
                    Err(Failure::Refused(StoreError::Fenced)) => "Refused(Fenced)".to_owned(),
                    Err(Failure::Raised(kind, _)) => refused(kind),
                    Err(failure) => panic!("{op}: {failure:?}"),
                };
                let keeps = !told.starts_with("Refused");
                drop(tell.send(told));
                let keeps = ended.await.unwrap_or(false) && keeps;
                if keeps { Ok(()) } else { Err(Failure::Refused(StoreError::Closed)) }
            })
        });
        drop(call.await);
    });
    Side { told, end }
}

fn item(attempt: Option<u32>) -> NewItem {
    NewItem { stream: "s".to_owned(), at_ms: 1, attempt, body: "1".to_owned() }
}

fn refused(kind: Kind) -> String {
    format!("Refused({kind:?})")
}

fn of(did: bool) -> String {
    if did { "Done".to_owned() } else { "Nothing".to_owned() }
}

impl Stage {
    async fn set(ops: [&str; 2]) -> Self {
        let scene = Scene::new();
        let process = scene.process().await;
        let worker = async || process.store.register(WorkerInfo::default()).await.unwrap();
        let (other, third) = (worker().await, worker().await);
        let owned = process.store.execution_id();
        let suspended = process.store.execution_id();
        let (parent, child) = (process.store.execution_id(), process.store.execution_id());
        let remote = TaskKey { execution: owned, activity: REMOTE, attempt: 1, nonce: 0 };
        let mut stage = Self { scene, process, other, third, owned, suspended, parent, child, remote };
        stage.remote = stage.fill(ops.contains(&"Expire")).await;
        stage.stand(ops).await;
        let is = |wanted: &[&str]| ops.iter().any(|op| wanted.contains(op));
        let me = stage.process.me;
        if is(&["FenceOut", "SetFree", "LoseTasks"]) {
            let late = move |st: &mut Statement<'_>| {
                st.write(Write::Lease(me, Lease { until_ms: 1, renewed_ms: 0, server: 0 }));
                Ok(())
            };
            stage.alone(late).await;
        }
        if is(&["LimitedClaim"]) {
            stage.limit().await;
        }
        if is(&["SetFree", "LoseTasks"]) {
            let gone =
                stage.scene.server.call(stage.process.number, "fence", Style::Transaction, move |session| {
                    Box::pin(async move { lease::fence_out(session, me, false).await })
                });
            assert!(gone.await.unwrap());
        }
        stage
    }

    async fn alone(&self, statement: impl Fn(&mut Statement<'_>) -> Looked<()> + Send + Sync + 'static) {
        let call = self.scene.server.call(self.process.number, "set", Style::Once, move |session| {
            Box::pin(async move { session.run(statement).await })
        });
        call.await.unwrap();
    }

    async fn fill(&self, expires: bool) -> TaskKey {
        let (process, now) = (&self.process, self.process.store.now_ms());
        let done = async |append: Append| {
            assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
        };
        done(process.create(self.start(self.owned, "owned"))).await;
        let tasks = vec![
            TaskChange::Insert(self.task(LOCAL, 1, None)),
            TaskChange::Insert(self.task(REMOTE, 1, Some("elsewhere"))),
        ];
        done(process.create(self.start(self.parent, "parent"))).await;
        done(Append { tasks, children: vec![self.new_child()], ..process.turn(self.owned, 2, 2) }).await;
        let claimed = process.store.claim_tasks(self.claim_of(self.other, "elsewhere")).await;
        let remote = claimed.unwrap().tasks[0].key;
        let start_by_ms = expires.then_some(now - 1);
        let waiting = NewTask { start_by_ms, ..self.task(WAITING, 1, Some("nobody")) };
        done(Append { tasks: vec![TaskChange::Insert(waiting)], ..process.turn(self.owned, 4, 1) }).await;
        process.store.start(self.start(process.store.execution_id(), "free")).await.unwrap();
        let parked = NewExecution { queue: "parked".to_owned(), ..self.start(self.suspended, "suspended") };
        process.store.start(parked).await.unwrap();
        remote
    }

    async fn run(&self, session: &mut Session, op: &str, side: usize) -> Result<String, Failure> {
        let (me, now) = (self.process.me, self.process.store.now_ms());
        match op {
            "Append" | "Release" | "Replace" | "Settle" | "Fail" => self.append(session, op, side).await,
            "Close" | "Continue" | "Discard" | "StartOwned" | "StartOnly" | "CloseChild" | "CloseParent" => {
                self.guarded(session, op, side).await
            }
            "Slice" => self.slice(session, now).await,
            "Claim" | "Offer" | "ClaimTasks" | "LimitedClaim" | "EndByTimeout" | "EndByMessage" => {
                self.claims(session, op, side).await
            }
            "SignalByName" | "Bear" => self.resolved(session, op, side).await,
            "Renew" => Ok(of(session.run(|st| lease::extend(st, me, 12_000)).await?.is_some())),
            "FenceOut" => Ok(of(lease::fence_out(session, me, false).await?)),
            "SetFree" => Ok(of(lease::set_free(session, me, now).await? > 0)),
            "LoseTasks" => session.run(|st| lease::lose_tasks(st, me)).await.map(|()| of(true)),
            "Leave" => lease::leave(session, me).await.map(|()| of(true)),
            "Signal" | "SignalSuspended" | "Cancel" => {
                let kind = if op == "Cancel" { MessageKind::Cancel } else { MessageKind::Signal };
                let to = if op == "SignalSuspended" { self.suspended } else { self.owned };
                let sent = NewMessage { kind, ..self.process.message(to, &format!("message-{side}")) };
                Ok(of(message::send(session, &sent).await?.0 == SendAnswer::Sent))
            }
            "Start" | "StartNew" => {
                let new = self.start(self.fresh(side), if op == "Start" { "free" } else { "new" });
                Ok(of(matches!(start::start(session, &new).await?.0, StartAnswer::Started)))
            }
            "Join" => {
                let new = self.start(self.fresh(side), "owned");
                let with = vec![self.process.message(new.id, &format!("message-{side}"))];
                let (reuse, conflict) = (IdReusePolicy::RejectDuplicate, IdConflictPolicy::UseExisting);
                let new = NewExecution { reuse, conflict, with, ..new };
                Ok(of(matches!(start::start(session, &new).await?.0, StartAnswer::Existing(_))))
            }
            "Terminate" => {
                let request = format!("terminate-{side}");
                let told = start::terminate(session, self.owned, &request, "{}", now).await?.0;
                Ok(of(told == SendAnswer::Sent))
            }
            "Resume" => Ok(of(start::resume(session, self.suspended, now).await?.0 == ResumeAnswer::Resumed)),
            "Beat" | "Finish" | "HandOut" | "CompleteByToken" => self.attempts(session, op).await,
            "Publish" => {
                let (owned, items) = (self.owned, [item(Some(1))]);
                match session.run(|st| stream::publish(st, me, owned, &items)).await? {
                    None => Ok(refused(Kind::Fenced)),
                    Some(published) => Ok(of(published)),
                }
            }
            "Expire" => session.run(task::expire).await.map(|_| of(true)),
            _ => panic!("no such operation: {op}"),
        }
    }

    /// Each side has its own claimant.
    async fn claims(&self, session: &mut Session, op: &str, side: usize) -> Result<String, Failure> {
        let now = self.process.store.now_ms();
        let owner = if side == 0 { self.other } else { self.third };
        let claim = Claim { owner, ..self.process.claim_of("b1", false) };
        let none = match op {
            "Claim" => claim::claim(session, &claim, now).await?.rows.is_empty(),
            "Offer" => {
                let claim = Claim { queues: vec!["parked".to_owned()], ..claim };
                claim::claim_offered(session, &claim, now).await?.is_empty()
            }
            "ClaimTasks" => {
                task::claim_tasks(session, &self.claim_of(owner, "nobody")).await?.claimed.tasks.is_empty()
            }
            "LimitedClaim" => {
                let fair_key = if side == 0 { String::new() } else { "50".to_owned() };
                let turn = QueueTurn { fair_key, limit_key: "step".to_owned(), left: 0 };
                let claim = TaskClaim { turn, ..self.claim_of(owner, "limited") };
                limit::claim(session, &claim, "limited").await?.0.tasks.is_empty()
            }
            _ => ends::claim_ends(session, owner, (now, 10)).await?.runs.is_empty(),
        };
        Ok(of(!none))
    }

    async fn append(&self, session: &mut Session, op: &str, side: usize) -> Result<String, Failure> {
        let turn = self.process.turn(self.owned, NEXT, 1);
        let append = match op {
            "Append" => {
                let turn = self.process.turn(self.owned, NEXT, 1 + side as u32);
                Append { published: vec![item(None)], ..turn }
            }
            "Release" => Append {
                row: Some(RowChange { release: true, wake_at_ms: Some(None), ..RowChange::default() }),
                rev: Some(0),
                ..Append::bare(self.process.me, self.owned, 1)
            },
            "Replace" => {
                let with = self.task(LOCAL, 2, None);
                Append { tasks: vec![TaskChange::Replace { of: 1, with }], ..turn }
            }
            "Fail" => {
                let failure = "{}".to_owned();
                let failed = AttemptRow { activity: EventId(9), attempt: 1, next_at_ms: 1, failure };
                Append {
                    row: Some(RowChange::default()),
                    rev: Some(0),
                    attempts: vec![AttemptChange::Keep(failed)],
                    ..Append::bare(self.process.me, self.owned, 1)
                }
            }
            _ => Append { tasks: vec![TaskChange::Settle { activity: LOCAL, attempt: 1 }], ..turn },
        };
        session.run(|st| batch::write(st, &[&append])).await?;
        Ok(of(true))
    }

    /// What begins with its locks.
    async fn guarded(&self, session: &mut Session, op: &str, side: usize) -> Result<String, Failure> {
        let append = match op {
            "Close" => self.process.close(self.owned, NEXT),
            "CloseChild" => self.process.close(self.child, 1),
            "CloseParent" => self.process.close(self.parent, 2),
            "Discard" => {
                let (kind, status) = (CloseKind::Discarded, ExecutionStatus::Terminated);
                let close = Some(Close { kind, status, result: "{}".to_owned() });
                Append { close, ..self.process.close(self.owned, NEXT) }
            }
            "Continue" => {
                let NewExecution { id, run_id, .. } = self.start(self.fresh(side), "owned");
                let next = chains::next_of(&self.process, "owned");
                // Not that of the claims, which look for other runs.
                let next = Successor { id, run_id, queue: "next".to_owned(), ..next };
                Append { rev: Some(0), ..chains::hands_on(&self.process, self.owned, NEXT, &next) }
            }
            "StartOwned" => self.owned_start(self.start(self.fresh(side), "new")),
            _ => {
                let new = self.start(self.fresh(side), "owned");
                self.owned_start(NewExecution { reuse: IdReusePolicy::RejectDuplicate, ..new })
            }
        };
        let ends = append.close.is_some() && append.successor.is_none();
        let report = ends.then(|| r#"{"completed":{"result":7}}"#.to_owned());
        let append = Append { orphans: append.close.is_some(), report, ..append };
        let locks = guard::locks([&append].into_iter()).unwrap();
        let guarded = guard::take(&locks, session).await?;
        if guarded.out.conflicts.contains(&append.execution) {
            return Ok(refused(Kind::Conflict));
        }
        if guarded.out.locked.contains(&append.execution) {
            return Ok(refused(Kind::Busy));
        }
        let born = session.run(|st| batch::write(st, &[&append])).await?.born;
        Ok(of(!append.starts() || !born.is_empty()))
    }

    /// A signal to the owned run by its name, or a child of it under an id of the user's.
    async fn resolved(&self, session: &mut Session, op: &str, side: usize) -> Result<String, Failure> {
        let append = match op {
            "Bear" => {
                let new = self.start(self.fresh(side), "new");
                let child = NewChild {
                    id: new.id,
                    workflow_id: new.workflow_id.clone(),
                    run_id: new.run_id,
                    name: Some(Address::Name(new.workflow_id)),
                    ..orphans::child(&self.process, self.owned, NEXT, ParentClosePolicy::Terminate)
                };
                Append { children: vec![child], ..self.process.turn(self.owned, NEXT, 1) }
            }
            _ => {
                let new = self.start(self.fresh(side), &format!("sender-{side}"));
                let (kind, body, to) =
                    (MessageKind::Signal, "{}".to_owned(), Address::Name("owned".to_owned()));
                let dispatch = Dispatch { command: EventId(2), to, kind, body, answered: true };
                Append { n: 2, dispatches: vec![dispatch], ..self.owned_start(new) }
            }
        };
        let locks = guard::locks([&append].into_iter()).unwrap();
        let mut guarded = guard::take(&locks, session).await?;
        let admitted = guarded.admit([&append], locks.closes());
        let Some(append) = admitted.first() else { return Ok(refused(Kind::Busy)) };
        session.run(|st| batch::write(st, &[append])).await?;
        let sent = append.sent().any(|message| message.kind == MessageKind::Signal);
        Ok(of(sent || !append.children.is_empty()))
    }

    fn owned_start(&self, new: NewExecution) -> Append {
        Append { owner: self.other, ..self.process.create(new) }
    }

    /// An id for what this side starts, the same at each call.
    fn fresh(&self, side: usize) -> ExecutionId {
        ExecutionId(self.owned.0 + (1 << 39) + side as i64)
    }

    fn start(&self, id: ExecutionId, of: &str) -> NewExecution {
        NewExecution { id, run_id: format!("run-{id}"), ..self.process.new_execution(of) }
    }

    fn task(&self, activity: EventId, attempt: u32, queue: Option<&str>) -> NewTask {
        NewTask {
            activity,
            attempt,
            queue: queue.map(str::to_owned),
            name: "step".to_owned(),
            input: "[]".to_owned(),
            limits: "{}".to_owned(),
            run_at_ms: 1,
            start_by_ms: None,
            close_by_ms: None,
            details: None,
            place: crate::store::Place::default(),
        }
    }

    fn claim_of(&self, owner: Incarnation, queue: &str) -> TaskClaim {
        TaskClaim {
            owner,
            queues: vec![queue.to_owned()],
            names: vec!["step".to_owned()],
            limit: 10,
            turn: Default::default(),
        }
    }
}
