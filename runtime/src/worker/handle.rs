//! A workflow thread as others see it: its mailbox, the turn that it runs now, and how it is spawned.
//!
//! In a program it is a thread of the operating system. In a simulated process of a test it is a task on the
//! only thread, and waits for its mailbox without blocking. Everything else is the same code.

use super::handed_in::Unanswered;
use super::live::{Look, SendReply, StartReply};
use super::load::Loaded;
use super::session::{Session, lock};
use super::thread::Thread;
use crate::store::{AppendOutcome, InboxRow, NewExecution, NewMessage, StoreError};
use abide_core::exec::{AttemptOutcome, Position};
use abide_core::{EventId, ExecutionId};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

/// A message to a workflow thread.
pub(super) enum Message {
    /// A client starts an execution here.
    Start { new: Box<NewExecution>, reply: StartReply },
    /// The database says that this worker owns an execution (PROTOCOL 34). See [`ThreadHandle::named`].
    Own { execution: ExecutionId },
    /// The load that the thread has asked for is done.
    Load(Box<Loaded>),
    /// A client's message.
    Send { message: NewMessage, reply: SendReply },
    /// Inbox rows of the execution.
    Inbox { execution: ExecutionId, rows: Vec<InboxRow> },
    /// An attempt ended.
    Attempt { execution: ExecutionId, activity: EventId, attempt: u32, outcome: AttemptOutcome },
    /// An append was acknowledged.
    Acked { execution: ExecutionId, result: Result<AppendOutcome, StoreError> },
    /// A request to read the state.
    Look { execution: ExecutionId, look: Look },
    /// The execution was terminated from outside.
    Gone { execution: ExecutionId },
    /// Shutdown: release idle executions. The token is cancelled when none is left.
    Drain(CancellationToken),
    /// Stop at once and drop everything.
    Stop,
}

/// The turn that a thread runs now.
#[derive(Clone)]
pub(super) struct Busy {
    pub(super) execution: ExecutionId,
    pub(super) turn: u64,
    pub(super) position: Position,
}

/// A thread, as the rest of the session knows it.
pub(super) struct ThreadHandle {
    pub(super) index: usize,
    sender: Mutex<Sender<Message>>,
    /// The executions in the thread's unread `Own` messages, each with its load permit if a claim took it.
    /// Kept outside of the mailbox, which is lost with a thread that blocks for good.
    pub(super) named: Mutex<HashMap<ExecutionId, Option<OwnedSemaphorePermit>>>,
    /// Wakes the thread when it is a task.
    #[cfg(feature = "testing")]
    pub(super) arrived: tokio::sync::Notify,
    pub(super) busy: Mutex<Option<Busy>>,
    /// The thread blocked and another thread replaced it; its further output is ignored (PROTOCOL 25).
    pub(super) written_off: AtomicBool,
    pub(super) unanswered: Unanswered,
    /// A panic occurred outside of the guarded code: the thread has ended.
    pub(super) panicked: AtomicBool,
    /// Cancelled when the thread is written off. Callers then stop waiting for its answers.
    pub(super) gone: CancellationToken,
}

impl ThreadHandle {
    pub(super) fn new(index: usize, sender: Sender<Message>) -> Self {
        Self {
            index,
            sender: Mutex::new(sender),
            named: Mutex::default(),
            #[cfg(feature = "testing")]
            arrived: tokio::sync::Notify::new(),
            busy: Mutex::new(None),
            written_off: AtomicBool::new(false),
            unanswered: Unanswered::default(),
            panicked: AtomicBool::new(false),
            gone: CancellationToken::new(),
        }
    }

    pub(super) fn spawn(session: &Arc<Session>, index: usize) -> Arc<Self> {
        let (sender, receiver) = channel();
        let handle = Arc::new(Self::new(index, sender));
        let (session, me) = (Arc::clone(session), Arc::clone(&handle));
        #[cfg(feature = "testing")]
        if session.abide.host().test().is_some() {
            tokio::task::spawn_local(async move { Thread::new(session, me).run_beside(receiver).await });
            return handle;
        }
        // The watchdog, which replaces threads, calls this on the engine's own runtime; the threads use the
        // user's.
        let tokio = session.runtime.clone();
        let named = std::thread::Builder::new().name(format!("abide-workflow-{index}"));
        let spawned = named.spawn(move || {
            let _tokio = tokio.enter();
            Self::run(session, me, &receiver);
        });
        if let Err(error) = spawned {
            tracing::error!("a workflow thread could not be started: {error}");
            handle.gone.cancel();
        }
        handle
    }

    fn run(session: Arc<Session>, me: Arc<Self>, receiver: &Receiver<Message>) {
        let handle = Arc::clone(&me);
        let ran = catch_unwind(AssertUnwindSafe(|| Thread::new(session, me).run(receiver)));
        if ran.is_err() {
            // The watchdog gives its executions to another thread.
            handle.panicked.store(true, Ordering::Release);
        }
    }

    /// Sends a message. Returns the message if the thread is gone.
    pub(super) fn send(&self, message: Message) -> Result<(), Message> {
        if self.written_off.load(Ordering::Acquire) {
            return Err(message);
        }
        lock(&self.sender).send(message).map_err(|back| back.0)?;
        #[cfg(feature = "testing")]
        self.arrived.notify_one();
        Ok(())
    }
}
