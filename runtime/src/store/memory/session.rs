//! One call at the server: its statements, its transactions, their delays, and how it ends.
//!
//! A call runs here to its end, even if its caller is dropped (PROTOCOL 7). Without a runtime there are no
//! delays and no other calls, so that it runs to its end in the caller.

use super::conditions::{Call, Course, End};
use super::locks::Tx;
use super::server::{Asked, Server};
use super::statement::{Looked, Statement};
use crate::store::failure::{Kind, injected};
use crate::store::{Fault, StoreError};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a call does. Built again for each try.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'c>>;

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Writes nothing.
    Read,
    /// Each statement is its own transaction.
    Once,
    /// All statements are one transaction.
    Transaction,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The call itself refuses: it is rolled back.
    Refused(StoreError),
    /// The database raises this; nothing was written.
    Raised(Kind, String),
    /// The database could not execute it now; nothing was written.
    Met(Fault),
    /// The server is unreachable; nothing was written.
    Unreachable,
    /// The connection broke off; the outcome is unknown.
    Broken,
    /// Its process is dead and gets no answer.
    Gone,
}

/// How long a statement waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// After this time the server looks for a deadlock.
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A running call.
pub(super) struct Session {
    server: Arc<Server>,
    call: Call,
    course: Course,
    style: Style,
    /// Of [`Style::Transaction`], once begun.
    open: Option<Tx>,
    begun: bool,
}

impl Server {
    /// Makes a call for a process.
    pub(super) async fn call<T, F>(
        self: &Arc<Self>,
        process: u32,
        name: &'static str,
        style: Style,
        work: F,
    ) -> Result<T, Failure>
    where
        F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Send + 'static,
        T: Send + 'static,
    {
        let Some(call) = self.arrives(process, name, style != Style::Read) else {
            return std::future::pending().await;
        };
        let conditions = self.options.conditions.as_ref();
        let course = conditions.map_or_else(Course::default, |conditions| conditions.course(&call));
        let session = Session { server: Arc::clone(self), call, course, style, open: None, begun: false };
        let Some(runtime) = &self.options.runtime else { return session.at_once(work) };
        let (tell, told) = oneshot::channel();
        runtime.spawn(session.on_runtime(work, tell));
        match told.await {
            Ok(answer) => answer,
            // Its process is dead, or the answer never comes.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Session {
    /// Runs in the caller, to its end.
    fn at_once<T, F>(self, work: F) -> Result<T, Failure>
    where
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T>,
    {
        let server = Arc::clone(&self.server);
        let _whole = server.whole();
        match pin!(self.serve(work)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                Err(Failure::Raised(Kind::Other, "a call waits, and nobody is there".to_owned()))
            }
        }
    }

    async fn on_runtime<T, F>(self, work: F, tell: oneshot::Sender<Result<T, Failure>>)
    where
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T>,
        T: Send + 'static,
    {
        let (server, process, course) = (Arc::clone(&self.server), self.call.process, self.course);
        if let Some(told) = course.told.filter(|_| course.is_broken()) {
            tokio::spawn(async move {
                tokio::time::sleep(told).await;
                if !server.is_killed(process) {
                    drop(tell.send(Err(Failure::Broken)));
                }
            });
            return drop(self.serve(work).await);
        }
        let answer = self.serve(work).await;
        if course.after == Duration::MAX || matches!(answer, Err(Failure::Gone)) {
            return;
        }
        if !course.after.is_zero() {
            tokio::time::sleep(course.after).await;
        }
        if !server.is_killed(process) {
            // The caller may be gone and needs no answer then.
            drop(tell.send(answer));
        }
    }

    async fn serve<T, F>(mut self, work: F) -> Result<T, Failure>
    where
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T>,
    {
        let answer = self.answer(work).await;
        self.server.ended(&self.call);
        answer
    }

    async fn answer<T, F>(&mut self, work: F) -> Result<T, Failure>
    where
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T>,
    {
        self.pause(self.course.before).await;
        match self.course.end {
            End::Refused(Fault::Lost) => return Err(Failure::Unreachable),
            End::Refused(fault) => return Err(Failure::Met(fault)),
            _ => {}
        }
        let answer = work(self).await;
        match (&answer, self.open.take()) {
            (Ok(_), Some(tx)) => self.end(tx).await?,
            (Err(_), Some(tx)) => self.server.roll_back(tx),
            (_, None) => {}
        }
        if self.course.is_broken() && !matches!(answer, Err(Failure::Gone)) {
            return Err(Failure::Broken);
        }
        answer
    }

    /// One statement.
    pub(super) async fn run<T>(
        &mut self,
        mut statement: impl FnMut(&mut Statement<'_>) -> Looked<T> + Send,
    ) -> Result<T, Failure> {
        if std::mem::replace(&mut self.begun, true) {
            self.pause(self.course.between).await;
            if self.server.is_killed(self.call.process) {
                return Err(Failure::Gone);
            }
        }
        let tx = match self.open {
            Some(tx) => tx,
            None => self.server.begin(self.call, self.style != Style::Transaction),
        };
        let answer = self.patiently(tx, &mut statement).await;
        if answer.is_err() {
            self.open = None;
            self.server.roll_back(tx);
            return answer;
        }
        if self.style == Style::Transaction {
            self.open = Some(tx);
        } else {
            self.end(tx).await?;
        }
        answer
    }

    /// A savepoint of the open transaction.
    pub(super) fn mark(&self) -> usize {
        self.open.map_or(0, |tx| self.server.written(tx))
    }

    /// Goes back to a savepoint.
    pub(super) fn undo(&self, mark: usize) {
        if let Some(tx) = self.open {
            self.server.undo(tx, mark);
        }
    }

    /// Waits for locks, as long as the server lets it.
    async fn patiently<T>(
        &self,
        tx: Tx,
        statement: &mut (dyn FnMut(&mut Statement<'_>) -> Looked<T> + Send),
    ) -> Result<T, Failure> {
        let busy = |text: &str| Err(Failure::Raised(Kind::Busy, text.to_owned()));
        let mut since = None;
        loop {
            let woken = match self.server.ask(tx, statement) {
                Ok(answer) => return Ok(answer),
                Err(Asked::Blocked(woken)) => woken,
                Err(Asked::Raised(kind, text)) => return Err(Failure::Raised(kind, text)),
                Err(Asked::Gone) => return Err(Failure::Gone),
            };
            if self.server.is_inline() {
                return busy("nobody else is there to let go of a lock");
            }
            let since = *since.get_or_insert_with(Instant::now);
            let looks = since + DEADLOCK_TIMEOUT;
            let until = if Instant::now() < looks { looks } else { since + LOCK_TIMEOUT };
            if tokio::time::timeout_at(until, woken).await.is_err() {
                if until == looks && self.server.is_deadlocked(tx) {
                    return busy("deadlock detected");
                }
                if until > looks {
                    return busy("canceling statement due to lock timeout");
                }
            }
        }
    }

    /// The transaction's end: the commit is sent, and executed a little later. Locks are held meanwhile.
    async fn end(&mut self, tx: Tx) -> Result<(), Failure> {
        if !self.server.sent(tx) {
            return Err(Failure::Gone);
        }
        if !self.server.is_idle(tx) {
            self.pause(self.course.held).await;
        }
        match self.course.end {
            End::BrokenBefore => self.server.roll_back(tx),
            _ => self.server.commit(tx),
        }
        Ok(())
    }

    /// Waits until the earlier calls of this process's writer have ended, so that a fresh connection sees
    /// their outcome.
    pub(super) async fn after_earlier(&self, names: &[&str]) {
        while !self.server.is_inline()
            && !self.server.options.overtaken
            && let Some(woken) = self.server.earlier(&self.call, names)
        {
            drop(woken.await);
        }
    }

    async fn pause(&self, time: Duration) {
        if !time.is_zero() && !self.server.is_inline() {
            tokio::time::sleep(time).await;
        }
    }
}

impl Course {
    fn is_broken(&self) -> bool {
        matches!(self.end, End::BrokenBefore | End::BrokenAfter)
    }
}

impl Failure {
    /// What it means for the call.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) => Kind::Other,
            Self::Raised(kind, _) => *kind,
            Self::Met(fault) => injected(*fault, "").kind,
            Self::Unreachable | Self::Broken | Self::Gone => Kind::Broken,
        }
    }

    /// The store's error for it; `path` names the database.
    pub(super) fn error(self, path: &str) -> StoreError {
        let unknown = |message: &str| StoreError::Unknown { message: message.to_owned() };
        match self {
            Self::Refused(error) => error,
            Self::Raised(Kind::Busy, message) => StoreError::Conflicting { message },
            Self::Raised(Kind::Fenced, _) => StoreError::Fenced,
            Self::Raised(Kind::Refused, message) => StoreError::BadRow { message },
            Self::Raised(_, message) => StoreError::Database { path: path.to_owned(), message, source: None },
            Self::Met(fault) => injected(fault, path).error,
            Self::Unreachable => unknown("nobody answers"),
            Self::Broken | Self::Gone => unknown("the connection broke off"),
        }
    }
}
