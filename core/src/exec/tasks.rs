//! The tasks of one execution and the loop that polls them. They run on one thread, in the order they were
//! woken.

use super::context::{self, Context};
use super::spawned::{Spawned, TaskKind};
use super::waker::{ReadyQueue, TaskId, TaskWaker};
use crate::future::LocalBoxFuture;
use crate::text::bounded;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

struct Task {
    kind: TaskKind,
    future: LocalBoxFuture<()>,
    flag: Arc<TaskWaker>,
    waker: Waker,
}

/// The tasks and the ready queue; see the head of this module.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: Vec<Option<Task>>,
    ready: Arc<ReadyQueue>,
}

/// The result of one poll.
pub(crate) enum Polled {
    /// The task ended.
    Ended(TaskKind),
    /// The task waits.
    Pending,
    /// User code panicked, with this message.
    Panicked(String),
}

impl Tasks {
    /// Adds a task and marks it ready.
    pub(crate) fn add(&mut self, spawned: Spawned) {
        let Spawned { id, kind, future } = spawned;
        let flag = TaskWaker::new(id, Arc::clone(&self.ready));
        let waker = Waker::from(Arc::clone(&flag));
        waker.wake_by_ref();
        if self.tasks.len() <= id {
            self.tasks.resize_with(id + 1, || None);
        }
        self.tasks[id] = Some(Task { kind, future, flag, waker });
    }

    /// Polls the next ready task.
    pub(crate) fn poll_next(&mut self, ctx: &Rc<Context>) -> Option<(TaskId, Polled)> {
        loop {
            let id = self.ready.pop()?;
            let Some(task) = self.tasks.get_mut(id).and_then(Option::as_mut) else { continue };
            task.flag.clear();
            ctx.task.set(id);
            let entered = context::enter(ctx);
            let mut cx = TaskContext::from_waker(&task.waker);
            let future = &mut task.future;
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
            drop(entered);
            return Some((id, self.settle(id, polled, ctx)));
        }
    }

    fn settle(&mut self, id: TaskId, polled: std::thread::Result<Poll<()>>, ctx: &Rc<Context>) -> Polled {
        match polled {
            Ok(Poll::Pending) => Polled::Pending,
            Ok(Poll::Ready(())) => {
                let kind = self.tasks[id].as_ref().map_or(TaskKind::Spawned, |task| task.kind.clone());
                match self.drop_task(id, ctx) {
                    Some(message) => Polled::Panicked(message),
                    None => Polled::Ended(kind),
                }
            }
            Err(panic) => Polled::Panicked(panic_message(&*panic)),
        }
    }

    /// Drops a task's future inside the context, so that drops can emit commands. Returns the message of a
    /// panic.
    pub(crate) fn drop_task(&mut self, id: TaskId, ctx: &Rc<Context>) -> Option<String> {
        let task = self.tasks.get_mut(id).and_then(Option::take)?;
        let _entered = context::enter(ctx);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(task.future)));
        ctx.forget_task(id);
        dropped.err().map(|panic| panic_message(&*panic))
    }

    /// The ids of the live tasks that `which` accepts, in order.
    pub(crate) fn ids(&self, which: impl Fn(&TaskKind) -> bool) -> Vec<TaskId> {
        let live = self.tasks.iter().enumerate();
        live.filter_map(|(id, task)| task.as_ref().filter(|task| which(&task.kind)).map(|_| id)).collect()
    }

    pub(crate) fn kind(&self, id: TaskId) -> Option<&TaskKind> {
        self.tasks.get(id)?.as_ref().map(|task| &task.kind)
    }
}

/// The text of a panic, cut to a limit.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    bounded(text.unwrap_or("a panic without a text"))
}
