//! Claims: a worker becomes the owner of unowned executions of some queues and types (PROTOCOL 16, 19, 21).
//!
//! The statements of `postgres/claim.rs`: executions that are due, that have a message, that are offered to
//! another build; suspects by themselves. A row that another claim has locked is skipped, so claims never
//! wait for each other.

use super::held::holds_lease;
use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::sweep::unpark;
use super::tables::{Execution, Tables};
use crate::status::ExecutionStatus;
use crate::store::owner::SUSPECT_FROM;
use crate::store::{Claim, Claimed, ExecutionRow, StoreError};
use abide_core::ExecutionId;
use std::collections::BTreeMap;

/// One queue's share of a claim.
struct Wanted<'a> {
    claim: &'a Claim,
    queue: &'a str,
    room: usize,
    now: i64,
}

impl Wanted<'_> {
    /// Whether the claimant, which names its types or none, may claim it.
    fn is_wanted(&self, tables: &Tables, row: &ExecutionRow) -> bool {
        if row.queue != self.queue {
            return false;
        }
        match &self.claim.types {
            Some(types) => types.contains(&row.workflow_type),
            None => {
                let mut there = tables.workers.values().filter(|worker| worker.info.queue == self.queue);
                !there.any(|worker| worker.info.types.contains(&row.workflow_type))
            }
        }
    }

    /// Neither a suspect, nor one that has crashed too often, unless it is claimed to be suspended.
    fn is_trusted(&self, row: &ExecutionRow) -> bool {
        row.crashes < SUSPECT_FROM || row.crashes >= self.claim.suspicion.crash_limit
    }

    /// Whether other builds have failed with it, and this build has neither failed nor claimed it since.
    fn is_offered(&self, execution: &Execution) -> bool {
        let build = &self.claim.build;
        let tried = execution.tried_builds.as_ref();
        tried.is_some_and(|tried| !tried.contains(build)) && !execution.trying_builds.contains(build)
    }

    /// Whether it has this status and no owner, and is offered to this build, which has its type.
    fn may_offer(&self, tables: &Tables, execution: &Execution, status: ExecutionStatus) -> bool {
        let row = &execution.row;
        self.claim.types.is_some()
            && row.owner.is_none()
            && row.status == status
            && self.is_wanted(tables, row)
            && self.is_offered(execution)
    }

    /// The suspended ones that are offered. No worker has died of what such a one was suspended for. Locked
    /// fully: a sender that has seen it suspended has committed its message by then, or it is passed over
    /// (PROTOCOL 97).
    fn suspended(&self, st: &mut Statement<'_>) -> Looked<Vec<ExecutionRow>> {
        let tables = st.tables;
        let offered = tables.executions.values();
        let offered =
            offered.filter(|execution| self.may_offer(tables, execution, ExecutionStatus::Suspended));
        let mut offered: Vec<_> =
            offered.map(|execution| (execution.row.created_at_ms, execution.row.id)).collect();
        offered.sort_unstable();
        let locked = offered.into_iter().filter(|(_, id)| st.try_lock(Key::Execution(*id), Mode::Update));
        let chosen: Vec<ExecutionId> = locked.take(self.room).map(|(_, id)| id).collect();
        self.take(st, chosen.into_iter())
    }

    /// As many of these as can be locked.
    fn lock(
        &self,
        st: &mut Statement<'_>,
        found: impl Iterator<Item = (ExecutionId, i64)>,
        chosen: &mut BTreeMap<ExecutionId, i64>,
    ) {
        let locked = found.filter(|(id, _)| st.try_lock(Key::Execution(*id), Mode::NoKeyUpdate));
        for (id, due) in locked.take(self.room) {
            let first = chosen.entry(id).or_insert(due);
            *first = due.min(*first);
        }
    }

    /// What is due, has a message or is offered.
    fn some(&self, st: &mut Statement<'_>) -> Looked<Vec<ExecutionRow>> {
        let tables = st.tables;
        let free = |execution: &&Execution| {
            execution.is_free() && self.is_wanted(tables, &execution.row) && self.is_trusted(&execution.row)
        };
        let mut chosen = BTreeMap::new();
        let mut due: Vec<_> = tables.executions.values().filter(free).collect();
        due.retain(|execution| execution.row.wake_at_ms.is_some_and(|at| at <= self.now));
        due.sort_by_key(|execution| execution.row.wake_at_ms);
        let due = due.iter().map(|due| (due.row.id, due.row.wake_at_ms.unwrap_or(self.now)));
        self.lock(st, due, &mut chosen);
        let written = tables.unparked().filter(|message| message.kind.is_known()).filter_map(|message| {
            let to = tables.executions.get(&message.execution).filter(free)?;
            Some((to.row.id, message.at_ms))
        });
        self.lock(st, written, &mut chosen);
        let may_offer = |execution: &&Execution| {
            self.may_offer(tables, execution, ExecutionStatus::Running) && self.is_trusted(&execution.row)
        };
        let offered = tables.executions.values().filter(may_offer);
        self.lock(st, offered.map(|execution| (execution.row.id, execution.row.created_at_ms)), &mut chosen);
        let mut chosen: Vec<_> = chosen.into_iter().collect();
        chosen.sort_by_key(|(id, due)| (*due, *id));
        self.take(st, chosen.into_iter().take(self.room).map(|(id, _)| id))
    }

    /// One suspect, with `most` crashes at most, the one with the fewest first.
    fn suspect(&self, st: &mut Statement<'_>, most: u32) -> Looked<Vec<ExecutionRow>> {
        let tables = st.tables;
        let is_due = |row: &ExecutionRow| row.wake_at_ms.is_some_and(|at| at <= self.now);
        let suspects = tables.executions.values().filter(|execution| {
            let row = &execution.row;
            execution.is_free()
                && (SUSPECT_FROM..=most).contains(&row.crashes)
                && self.is_wanted(tables, row)
                && (is_due(row) || tables.has_mail(row.id))
        });
        let mut suspects: Vec<_> = suspects.map(|suspect| &suspect.row).collect();
        suspects.sort_by_key(|row| (row.crashes, row.wake_at_ms.unwrap_or(i64::MAX), row.id));
        let found = suspects.iter().find(|row| st.try_lock(Key::Execution(row.id), Mode::NoKeyUpdate));
        let found = found.map(|row| row.id);
        self.take(st, found.into_iter())
    }

    /// Needs the claimant's lease. Sets `active`, since the claimant has a turn running until its first
    /// append says otherwise. A suspended execution that a build tries for the first time becomes running and
    /// due.
    fn take(
        &self,
        st: &mut Statement<'_>,
        chosen: impl Iterator<Item = ExecutionId>,
    ) -> Looked<Vec<ExecutionRow>> {
        let (tables, mut taken) = (st.tables, Vec::new());
        let mut chosen = chosen.filter_map(|id| tables.executions.get(&id)).peekable();
        if chosen.peek().is_none() || !st.try_fence(self.claim.owner) {
            return Ok(taken);
        }
        for mut execution in chosen.cloned() {
            let offered = self.is_offered(&execution);
            let row = &mut execution.row;
            if row.status == ExecutionStatus::Suspended || offered {
                row.wake_at_ms = Some(self.now);
            }
            row.rev += 1;
            (row.owner, row.active) = (Some(self.claim.owner), true);
            (row.status, row.suspension) = (ExecutionStatus::Running, None);
            if offered {
                execution.trying_builds.push(self.claim.build.clone());
            }
            taken.push(tables.read(&execution));
            st.update(execution)?;
        }
        taken.sort_by_key(|row| (row.wake_at_ms.unwrap_or(i64::MAX), row.id));
        Ok(taken)
    }

    /// When the next one is due, and whether something suspended is offered to this build.
    fn next_due(&self, st: &Statement<'_>) -> (Option<i64>, bool) {
        let may_have = |row: &ExecutionRow| {
            let types = self.claim.types.as_ref();
            row.queue == self.queue
                && row.crashes < SUSPECT_FROM
                && types.is_none_or(|types| types.contains(&row.workflow_type))
        };
        let free = st.tables.executions.values().filter(|execution| execution.is_free());
        let due = free.filter(|execution| may_have(&execution.row));
        let suspended = ExecutionStatus::Suspended;
        let offers = |execution: &Execution| self.may_offer(st.tables, execution, suspended);
        (
            due.filter_map(|execution| execution.row.wake_at_ms).min(),
            st.tables.executions.values().any(offers),
        )
    }
}

/// Claims what is claimable now, by statements that commit one by one.
pub(super) async fn claim(session: &mut Session, claim: &Claim, now: i64) -> Result<Claimed, Failure> {
    let mut rows: Vec<ExecutionRow> = Vec::new();
    let of = |queue, taken: usize| {
        let room = (claim.limit as usize).saturating_sub(taken);
        Wanted { claim, queue, room, now }
    };
    for queue in &claim.queues {
        let wanted = of(queue, rows.len());
        if wanted.room > 0 {
            rows.extend(session.run(|st| wanted.some(st)).await?);
        }
    }
    if let Some(most) = claim.suspicion.suspect {
        let most = most.min(claim.suspicion.crash_limit.saturating_sub(1));
        for queue in &claim.queues {
            let wanted = of(queue, rows.len());
            if wanted.room == 0 {
                break;
            }
            let suspect = session.run(|st| wanted.suspect(st, most)).await?;
            if !suspect.is_empty() {
                rows.extend(suspect);
                break;
            }
        }
    }
    let (mut next_due_ms, mut offered): (Option<i64>, bool) = (None, false);
    for queue in &claim.queues {
        let wanted = of(queue, 0);
        match session.run(|st| Ok(wanted.next_due(st))).await {
            Ok((next, offers)) => {
                next_due_ms = next_due_ms.into_iter().chain(next).min();
                offered |= offers;
            }
            // These rows are claimed already: return them despite the error.
            Err(failure) if rows.is_empty() || matches!(failure, Failure::Gone) => return Err(failure),
            Err(_) => break,
        }
    }
    if rows.is_empty() && !holds_lease(session, claim.owner).await? {
        return Err(Failure::Refused(StoreError::Fenced));
    }
    Ok(Claimed { rows, next_due_ms, offered })
}

/// Takes suspended executions that are offered to the build, and gives their parked messages back.
pub(super) async fn claim_offered(
    session: &mut Session,
    claim: &Claim,
    now: i64,
) -> Result<Vec<ExecutionRow>, Failure> {
    let mut rows: Vec<ExecutionRow> = Vec::new();
    for queue in &claim.queues {
        let wanted = Wanted { claim, queue, room: claim.limit as usize, now };
        rows.extend(session.run(|st| wanted.suspended(st)).await?);
    }
    session.run(|st| rows.iter().try_for_each(|row| unpark(st, row.id))).await?;
    Ok(rows)
}
