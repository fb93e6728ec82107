//! One statement: reads the tables and the locks at one instant, and says what it locks, what it writes and
//! what it answers.
//!
//! Under READ COMMITTED each statement has its own snapshot and takes its locks as it goes. If it has to wait
//! for a lock, it reads the row again afterwards. Here a statement is all or nothing: one that has to wait
//! takes no lock yet and is run again from its beginning. It must be a pure function of what it reads: no
//! clock, no state of its own.

use super::locks::{Key, Locks, Mode, Tx};
use super::tables::{Execution, Tables};
use super::write::Write;
use crate::store::decide::parks;
use crate::store::failure::Kind;
use crate::store::{InboxRow, MessageKind};
use abide_core::{ExecutionId, Incarnation};
use std::collections::BTreeMap;

/// Why a statement has no answer.
#[derive(Debug)]
pub(super) enum Halt {
    /// It waits for these transactions.
    Blocked(Vec<Tx>),
    /// It raises this, and its transaction is over.
    Raised(Kind, String),
}

/// What a statement returns.
pub(super) type Looked<T> = Result<T, Halt>;

/// Sequences: a rollback does not give their numbers back.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    pub(super) inbox: i64,
    pub(super) worker: i64,
    pub(super) nonce: i64,
    pub(super) process: u32,
}

/// Sessions and processes: the part of the server that no transaction changes.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// The advisory locks that show a death early, each with the process that holds it.
    pub(super) lives: BTreeMap<Incarnation, u32>,
    /// Which run of the server this is.
    pub(super) server: u32,
}

/// One running statement.
pub(super) struct Statement<'a> {
    /// What is committed, and what its own transaction has written.
    pub(super) tables: &'a Tables,
    pub(super) sessions: &'a Sessions,
    /// The database's clock.
    pub(super) now_ms: i64,
    sequences: &'a mut Sequences,
    locks: &'a Locks,
    me: Tx,
    taken: BTreeMap<Key, Mode>,
    writes: Vec<Write>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(
        tables: &'a Tables,
        sessions: &'a Sessions,
        now_ms: i64,
        sequences: &'a mut Sequences,
        locks: &'a Locks,
        me: Tx,
    ) -> Self {
        Self { tables, sessions, now_ms, sequences, locks, me, taken: BTreeMap::new(), writes: Vec::new() }
    }

    /// What it has locked and written.
    pub(super) fn into_parts(self) -> (BTreeMap<Key, Mode>, Vec<Write>) {
        (self.taken, self.writes)
    }

    /// Locks, or waits for the transactions that conflict.
    pub(super) fn lock(&mut self, key: Key, mode: Mode) -> Looked<()> {
        self.wait(&key, mode)?;
        let held = self.taken.entry(key).or_insert(mode);
        *held = mode.max(*held);
        Ok(())
    }

    /// `SKIP LOCKED`: locks what no other transaction has locked.
    pub(super) fn try_lock(&mut self, key: Key, mode: Mode) -> bool {
        self.lock(key, mode).is_ok()
    }

    /// Waits for the transactions that conflict, and locks nothing.
    pub(super) fn wait(&self, key: &Key, mode: Mode) -> Looked<()> {
        let by = self.locks.against(key, mode, self.me);
        if by.is_empty() { Ok(()) } else { Err(Halt::Blocked(by)) }
    }

    /// Whether this statement has locked it already. It has written the row then, which its snapshot does not show.
    pub(super) fn has_taken(&self, key: &Key) -> bool {
        self.taken.contains_key(key)
    }

    pub(super) fn raise<T>(&self, kind: Kind, text: &str) -> Looked<T> {
        Err(Halt::Raised(kind, text.to_owned()))
    }

    /// Writes a row whose lock it has.
    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// The fence: `FOR KEY SHARE` on the lease. False: it is gone (PROTOCOL 13).
    pub(super) fn fence(&mut self, owner: Incarnation) -> Looked<bool> {
        if !self.tables.leases.contains_key(&owner) {
            return Ok(false);
        }
        self.lock(Key::Lease(owner), Mode::KeyShare).map(|()| true)
    }

    /// The same, but does not wait for a delete: for a transaction that holds other locks already (PROTOCOL 95).
    pub(super) fn try_fence(&mut self, owner: Incarnation) -> bool {
        self.tables.leases.contains_key(&owner) && self.try_lock(Key::Lease(owner), Mode::KeyShare)
    }

    /// A message's light lock on its receiver, if that is open (PROTOCOL 16).
    pub(super) fn receiver(&mut self, id: ExecutionId) -> Looked<Option<&'a Execution>> {
        let Some(receiver) = self.tables.open(id) else { return Ok(None) };
        self.lock(Key::Execution(id), Mode::KeyShare)?;
        Ok(Some(receiver))
    }

    /// Updates an execution's row. The key of an open run conflicts with an insert of the same key.
    pub(super) fn update(&mut self, execution: Execution) -> Looked<()> {
        let row = &execution.row;
        self.lock(Key::Execution(row.id), Mode::NoKeyUpdate)?;
        if self.tables.open(row.id).is_some() {
            self.lock(Key::OpenRun(row.workflow_id.clone()), Mode::Update)?;
        }
        self.write(Write::Execution(Box::new(execution)));
        Ok(())
    }

    /// Puts a row into an inbox, `ON CONFLICT DO NOTHING`. Its number is taken now, so that rows may be
    /// committed in another order.
    pub(super) fn put(
        &mut self,
        execution: ExecutionId,
        kind: MessageKind,
        request_id: &str,
        body: String,
        at_ms: i64,
    ) -> Looked<bool> {
        self.sequences.inbox += 1;
        let id = self.sequences.inbox;
        let key = Key::Message(execution, kind, request_id.to_owned());
        if self.has_taken(&key) {
            return Ok(false);
        }
        self.wait(&key, Mode::Update)?;
        if self.tables.inbox_of(execution).any(|row| row.kind == kind && row.request_id == request_id) {
            return Ok(false);
        }
        self.lock(key, Mode::Update)?;
        let request_id = request_id.to_owned();
        self.write(Write::Message(InboxRow { id, execution, kind, request_id, body, at_ms }));
        if self.tables.executions.get(&execution).is_some_and(|to| parks(to.row.status, kind)) {
            self.write(Write::Parked(id));
        }
        Ok(true)
    }

    /// Deletes a row of an inbox.
    pub(super) fn take_out(&mut self, row: &InboxRow) -> Looked<()> {
        self.lock(Key::Message(row.execution, row.kind, row.request_id.clone()), Mode::Update)?;
        self.write(Write::MessageGone(row.id));
        Ok(())
    }

    /// A nonce that no task ever had. Here it need not be random.
    pub(super) fn new_nonce(&mut self) -> i64 {
        self.sequences.nonce += 1;
        self.sequences.nonce
    }

    /// An incarnation that no worker ever had.
    pub(super) fn new_incarnation(&mut self) -> Incarnation {
        self.sequences.worker += 1;
        Incarnation(self.sequences.worker)
    }
}
