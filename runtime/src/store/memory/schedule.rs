//! Schedules: the statements of `postgres/schedule.rs`.

use super::guard::start_keys;
use super::locks::{Key, Mode};
use super::message::keep;
use super::session::{Failure, Session};
use super::start::{insert, unowned};
use super::statement::Statement;
use super::store::MemoryStore;
use super::write::Write;
use crate::store::decide::{Birth, ChainEnd, Desk, Notify, Receiver, ask, pass};
use crate::store::patience::Patience;
use crate::store::{
    InboxRow, MessageKind, NewExecution, REPORTS_AT_ONCE, Reply, RunKeys, SCHEDULES_A_PAGE, STEPS_AT_ONCE,
    ScheduleAnswer, ScheduleAsk, ScheduleRow, Schedules, Stepped, StoreError, StoreFuture,
};
use abide_core::ExecutionId;
use std::collections::BTreeSet;
use tokio::sync::watch;

/// The reports to schedules, each with its schedule's number.
fn reports<'a>(st: &Statement<'a>) -> impl Iterator<Item = &'a InboxRow> {
    let tables = st.tables;
    tables.unparked().filter(|row| row.execution.0 < 0 && row.kind == MessageKind::ChildEnded)
}

/// Those with reports that may be stepped.
fn told(st: &Statement<'_>) -> BTreeSet<i64> {
    let numbers: BTreeSet<i64> = reports(st).map(|row| row.execution.0).collect();
    let told = st.tables.schedules.values().filter(|row| numbers.contains(&row.number) && !row.halted);
    told.map(|row| row.number).collect()
}

fn next_due(st: &Statement<'_>) -> Option<i64> {
    st.tables.schedules.values().filter_map(|row| row.next_at_ms).min()
}

/// One transaction, and whom it concerns.
struct Transaction<'c> {
    session: &'c mut Session,
    mark: usize,
    queues: BTreeSet<String>,
    receivers: Vec<Receiver>,
}

/// Whom a transaction concerns.
struct Concerns {
    queues: BTreeSet<String>,
    receivers: Vec<Receiver>,
}

impl<'c> Transaction<'c> {
    fn of(session: &'c mut Session) -> Self {
        Self { session, mark: 0, queues: BTreeSet::new(), receivers: Vec::new() }
    }

    fn concerns(self) -> Concerns {
        Concerns { queues: self.queues, receivers: self.receivers }
    }
}

impl Desk for Transaction<'_> {
    type Error = Failure;

    async fn due(&mut self) -> Result<(Vec<ScheduleRow>, i64), Failure> {
        let due = |st: &mut Statement<'_>| {
            let (now, told) = (st.now_ms, told(st));
            let is_due = |row: &&ScheduleRow| row.next_at_ms.is_some_and(|at_ms| at_ms <= now);
            let mut rows: Vec<ScheduleRow> = st.tables.schedules.values().filter(is_due).cloned().collect();
            rows.sort_by_key(|row| (row.next_at_ms, row.number));
            let others = st.tables.schedules.values().filter(|row| told.contains(&row.number));
            rows.extend(others.filter(|row| !is_due(row)).cloned());
            rows.retain(|row| st.try_lock(Key::Schedule(row.id.clone()), Mode::Update));
            rows.truncate(STEPS_AT_ONCE as usize);
            Ok((rows, now))
        };
        self.session.run(due).await
    }

    async fn next_due(&mut self) -> Result<Option<i64>, Failure> {
        self.session.run(|st| Ok(next_due(st))).await
    }

    async fn row(&mut self, id: &str) -> Result<(Option<ScheduleRow>, i64), Failure> {
        let row = |st: &mut Statement<'_>| {
            let row = st.tables.schedules.get(id).cloned();
            // One that another transaction is about to insert is waited for by the insert.
            if row.is_some() {
                st.lock(Key::Schedule(id.to_owned()), Mode::Update)?;
            }
            Ok((row, st.now_ms))
        };
        self.session.run(row).await
    }

    async fn reports(&mut self, numbers: &[i64]) -> Result<Vec<InboxRow>, Failure> {
        let of = |st: &mut Statement<'_>| {
            let mine = reports(st).filter(|row| numbers.contains(&row.execution.0));
            Ok(mine.take(REPORTS_AT_ONCE as usize).cloned().collect())
        };
        self.session.run(of).await
    }

    async fn mark(&mut self) -> Result<(), Failure> {
        self.mark = self.session.mark();
        Ok(())
    }

    async fn keep(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn undo(&mut self) -> Result<(), Failure> {
        self.session.undo(self.mark);
        Ok(())
    }

    async fn start(&mut self, new: &NewExecution) -> Result<Birth, Failure> {
        let lock = |st: &mut Statement<'_>| Ok(start_keys(new).all(|key| st.try_lock(key, Mode::Update)));
        if !self.session.run(lock).await? {
            return Ok(Birth::Held);
        }
        let start = |st: &mut Statement<'_>| {
            let is_taken = st.tables.runs(&new.workflow_id).next().is_some();
            Ok(!is_taken && insert(st, new, unowned(new))?)
        };
        let born = self.session.run(start).await?;
        if born {
            self.queues.insert(new.queue.clone());
        }
        Ok(if born { Birth::Born } else { Birth::Taken })
    }

    async fn end(&mut self, end: ChainEnd<'_>) -> Result<bool, Failure> {
        let send = |st: &mut Statement<'_>| {
            let open = st.tables.open_run(end.workflow_id);
            let is_its = |scheduled: crate::store::Scheduled| scheduled.number == end.number;
            let Some(run) = open.filter(|run| run.row.scheduled.is_some_and(is_its)) else {
                return Ok(Ok(None));
            };
            if !st.try_lock(Key::Execution(run.row.id), Mode::KeyShare) {
                return Ok(Err(()));
            }
            let now = st.now_ms;
            st.put(run.row.id, end.kind(), end.request_id, end.body.to_owned(), now)?;
            Ok(Ok(Some(Receiver { owner: run.row.owner, queue: run.row.queue.clone() })))
        };
        match self.session.run(send).await? {
            Ok(receiver) => self.receivers.extend(receiver),
            Err(()) => return Ok(false),
        }
        Ok(true)
    }

    async fn consume(&mut self, ids: &[i64]) -> Result<(), Failure> {
        let delete = |st: &mut Statement<'_>| {
            let tables = st.tables;
            ids.iter().filter_map(|id| tables.inbox.get(id)).try_for_each(|row| st.take_out(row))
        };
        self.session.run(delete).await
    }

    async fn write(&mut self, row: &ScheduleRow) -> Result<(), Failure> {
        let write = |st: &mut Statement<'_>| {
            st.lock(Key::Schedule(row.id.clone()), Mode::Update)?;
            st.write(Write::Schedule(Box::new(row.clone())));
            Ok(())
        };
        self.session.run(write).await
    }

    async fn insert(&mut self, row: &ScheduleRow) -> Result<bool, Failure> {
        let insert = |st: &mut Statement<'_>| {
            st.lock(Key::Schedule(row.id.clone()), Mode::Update)?;
            if st.tables.schedules.contains_key(&row.id) {
                return Ok(false);
            }
            st.write(Write::Schedule(Box::new(row.clone())));
            Ok(true)
        };
        self.session.run(insert).await
    }

    async fn delete(&mut self, number: i64) -> Result<(), Failure> {
        let delete = |st: &mut Statement<'_>| {
            let tables = st.tables;
            tables.inbox_of(ExecutionId(number)).try_for_each(|row| st.take_out(row))?;
            let row = tables.schedules.values().find(|row| row.number == number);
            row.into_iter().for_each(|row| st.write(Write::ScheduleGone(row.id.clone())));
            Ok(())
        };
        self.session.run(delete).await
    }

    async fn reply(&mut self, key: &str) -> Result<Option<String>, Failure> {
        self.session.run(|st| Ok(st.tables.replies.get(key).map(|reply| reply.body.clone()))).await
    }

    async fn put_reply(&mut self, reply: &Reply, now_ms: i64) -> Result<(), Failure> {
        self.session.run(|st| keep(st, reply, now_ms)).await
    }

    fn refusal(_: &Failure) -> Option<String> {
        // A statement that raises ends its transaction here, and none of these does.
        None
    }
}

impl MemoryStore {
    fn notify_concerns(&self, concerns: &Concerns) {
        concerns.queues.iter().for_each(|queue| self.shared.notify_queue(queue));
        concerns.receivers.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
        if !concerns.receivers.is_empty() {
            // Any worker may end a run that has no owner.
            self.shared.notify_workers();
        }
    }
}

impl Schedules for MemoryStore {
    fn step_schedules(&self, keys: RunKeys) -> StoreFuture<'_, Stepped> {
        Box::pin(async move {
            let look = self.seen("look_at_schedules", |st| {
                let next_due_ms = next_due(st);
                (next_due_ms, next_due_ms.is_some_and(|at_ms| at_ms <= st.now_ms) || !told(st).is_empty())
            });
            let (next_due_ms, is_due) = look.await?;
            if !is_due {
                return Ok(Stepped { schedules: 0, next_due_ms });
            }
            let stepped = self.call("step_schedules", move |session| {
                Box::pin(async move {
                    let mut desk = Transaction::of(session);
                    let stepped = pass(&mut desk, &keys).await?;
                    Ok((stepped, desk.concerns()))
                })
            });
            let (stepped, concerns) = stepped.await?;
            self.notify_concerns(&concerns);
            Ok(stepped)
        })
    }

    fn ask_schedule(&self, asked: ScheduleAsk, keys: RunKeys) -> StoreFuture<'_, ScheduleAnswer> {
        Box::pin(async move {
            let mut patience = Patience::of_call(super::call::BUSY_TIMEOUT);
            loop {
                let (asked, keys) = (asked.clone(), keys.clone());
                let answer = self.call("ask_schedule", move |session| {
                    Box::pin(async move {
                        let mut desk = Transaction::of(session);
                        let answer = ask(&mut desk, &asked, &keys).await?;
                        Ok((answer, desk.concerns()))
                    })
                });
                if let (Some(answer), concerns) = answer.await? {
                    self.notify_concerns(&concerns);
                    self.shared.notify_schedules();
                    return Ok(answer);
                }
                let message = "another session holds a run of the schedule".to_owned();
                patience.again(StoreError::Conflicting { message }).await?;
            }
        })
    }

    fn schedule(&self, id: String) -> StoreFuture<'_, Option<ScheduleRow>> {
        Box::pin(self.seen("schedule", move |st| st.tables.schedules.get(&id).cloned()))
    }

    fn schedules(&self, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<ScheduleRow>> {
        let limit = limit.clamp(1, SCHEDULES_A_PAGE) as usize;
        Box::pin(self.seen("schedules", move |st| {
            let rows = st.tables.schedules.values();
            let rows = rows.filter(|row| after.as_ref().is_none_or(|after| row.id > *after));
            rows.take(limit).cloned().collect()
        }))
    }

    fn schedule_news(&self) -> watch::Receiver<u64> {
        self.shared.schedule_news()
    }
}
