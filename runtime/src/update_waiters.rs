//! The clients of this process that wait for updates. The worker that runs the execution tells them; see
//! [`crate::hub`].

use abide_core::ExecutionId;
use abide_core::exec::{UpdateNews, UpdateState};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// See the module documentation.
#[derive(Default)]
pub(crate) struct UpdateWaiters(Mutex<HashMap<ExecutionId, Vec<Arc<Waiter>>>>);

struct Waiter {
    update_id: String,
    ask: String,
    state: Mutex<Option<UpdateState>>,
    told: Notify,
}

/// One client that waits for one update. It removes itself when it is dropped.
pub(crate) struct UpdateWatch {
    all: Arc<UpdateWaiters>,
    execution: ExecutionId,
    waiter: Arc<Waiter>,
}

impl UpdateWaiters {
    /// Waits for what becomes of an update. Take the watch first and then ask.
    pub(crate) fn watch(self: &Arc<Self>, execution: ExecutionId, update_id: &str, ask: &str) -> UpdateWatch {
        let waiter = Arc::new(Waiter {
            update_id: update_id.to_owned(),
            ask: ask.to_owned(),
            state: Mutex::default(),
            told: Notify::new(),
        });
        self.lock().entry(execution).or_default().push(Arc::clone(&waiter));
        UpdateWatch { all: Arc::clone(self), execution, waiter }
    }

    /// What became of updates. It is durable.
    pub(crate) fn tell(&self, execution: ExecutionId, news: &[UpdateNews]) {
        if news.is_empty() {
            return;
        }
        let all = self.lock();
        let Some(waiters) = all.get(&execution) else { return };
        for news in news {
            for waiter in waiters.iter().filter(|waiter| waiter.is_meant(news)) {
                *waiter.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(news.state.clone());
                waiter.told.notify_waiters();
            }
        }
    }

    /// How many wait.
    #[cfg(feature = "testing")]
    pub(crate) fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ExecutionId, Vec<Arc<Waiter>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// A refusal answers one ask. All else is about the update.
    fn is_meant(&self, news: &UpdateNews) -> bool {
        let answers = !news.state.is_refusal() || news.ask.as_ref() == Some(&self.ask);
        self.update_id == news.update_id && answers
    }
}

impl UpdateWatch {
    /// What is known in this process.
    pub(crate) fn state(&self) -> Option<UpdateState> {
        self.waiter.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the state differs from `seen`.
    pub(crate) async fn changed(&self, seen: Option<&UpdateState>) {
        loop {
            let told = self.waiter.told.notified();
            tokio::pin!(told);
            // Enabled before the check, so that a notification between the two is not lost.
            told.as_mut().enable();
            if self.state().as_ref() != seen {
                return;
            }
            told.await;
        }
    }
}

impl Drop for UpdateWatch {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let Some(waiters) = all.get_mut(&self.execution) else { return };
        waiters.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
        if waiters.is_empty() {
            all.remove(&self.execution);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ExecutionId = ExecutionId(7);

    fn news(update_id: &str, ask: Option<&str>, state: UpdateState) -> UpdateNews {
        UpdateNews { update_id: update_id.to_owned(), ask: ask.map(str::to_owned), askers: Vec::new(), state }
    }

    #[test]
    fn a_refusal_answers_one_ask_and_all_else_is_for_all() {
        let all = Arc::new(UpdateWaiters::default());
        let (first, second) = (all.watch(ID, "u", "a1"), all.watch(ID, "u", "a2"));
        all.tell(ID, &[news("u", Some("a1"), UpdateState::TooMany)]);
        assert_eq!((first.state(), second.state()), (Some(UpdateState::TooMany), None));
        all.tell(
            ID,
            &[news("u", Some("a1"), UpdateState::Accepted), news("other", None, UpdateState::Aborted)],
        );
        assert_eq!(second.state(), Some(UpdateState::Accepted));
        drop((first, second));
        assert!(all.lock().is_empty(), "dropped watches leave nothing");
    }
}
