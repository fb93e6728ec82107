//! Warnings about attempts that run: without a limit for long (AB0605), and inside one poll for long (AB0623).
//!
//! An async body that blocks its thread holds up everything else of the user's runtime. It is told while it blocks, so
//! not by the runtime that it blocks: a thread of the engine's looks at each body's count of polls. Looks are counted,
//! not seconds: a process that was stopped and goes on has no blocked thread.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an attempt without any limit may run before it is named in a warning.
const WARN_AFTER: Duration = Duration::from_secs(60);
/// So many looks in a row find a body inside the same poll: more than 1 s, at four looks a second.
const BLOCKS_AFTER: u32 = 5;
/// It is named again after so many more looks: a minute.
const AGAIN_AFTER: u32 = 240;

/// Awaits the body, and says once that it runs long where nothing bounds it.
pub(super) async fn warned<T>(name: &str, unbounded: bool, mut body: impl Future<Output = T> + Unpin) -> T {
    if unbounded {
        // Polled after the body: one that ends at once never touches the timer.
        tokio::select! {
            biased;
            outcome = &mut body => return outcome,
            () = tokio::time::sleep(WARN_AFTER) => tracing::warn!(
                code = "AB0605",
                activity = name,
                "AB0605: activity `{name}` has run for a minute and has no time limit: give it \
                 `start_to_close = \"..\"`, or nobody will notice when it hangs"
            ),
        }
    }
    body.await
}

/// The bodies that run, also those whose outcome a limit has decided.
#[derive(Clone, Default)]
pub(super) struct Bodies(Arc<Mutex<BTreeMap<u64, Arc<Body>>>>);

struct Body {
    name: &'static str,
    workflow_id: String,
    /// Counts up before and after each poll: odd inside of one.
    polls: AtomicU64,
}

/// A body among those that run, until this is dropped.
pub(super) struct Entered {
    bodies: Bodies,
    key: u64,
    body: Arc<Body>,
}

/// What the looks so far have found inside a poll: which poll, and in how many looks in a row.
#[derive(Default)]
pub(crate) struct Looks(BTreeMap<u64, (u64, u32)>);

impl Bodies {
    pub(super) fn enter(&self, key: u64, name: &'static str, workflow_id: &str) -> Entered {
        let body = Arc::new(Body { name, workflow_id: workflow_id.to_owned(), polls: AtomicU64::new(0) });
        self.table().insert(key, Arc::clone(&body));
        Entered { bodies: self.clone(), key, body }
    }

    /// One look. Names the bodies that block their threads; how many it has named.
    pub(super) fn look(&self, looks: &mut Looks) -> usize {
        let before = std::mem::take(&mut looks.0);
        let mut blocked = Vec::new();
        for (key, body) in self.table().iter() {
            let poll = body.polls.load(Ordering::Relaxed);
            if poll % 2 == 0 {
                continue;
            }
            let seen = before.get(key).filter(|(known, _)| *known == poll).map_or(0, |(_, seen)| *seen) + 1;
            looks.0.insert(*key, (poll, seen));
            if seen >= BLOCKS_AFTER && (seen - BLOCKS_AFTER).is_multiple_of(AGAIN_AFTER) {
                blocked.push(Arc::clone(body));
            }
        }
        // Told without the lock: what a subscriber does may take its time.
        blocked.iter().for_each(|body| body.is_blocked());
        blocked.len()
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Body>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body {
    fn is_blocked(&self) {
        let Self { name, workflow_id, .. } = self;
        tracing::warn!(
            code = "AB0623",
            activity = name,
            workflow_id,
            "AB0623: activity `{name}` of workflow `{workflow_id}` has blocked its thread for more than 1 s: \
             nothing else runs on that thread meanwhile; make the activity a plain `fn`, which runs on the blocking \
             pool, or move what blocks into `tokio::task::spawn_blocking(..)` and await it"
        );
    }
}

impl Entered {
    /// The body, its polls counted.
    pub(super) async fn count<F: Future>(&self, body: F) -> F::Output {
        let mut body = pin!(body);
        std::future::poll_fn(|context| {
            let _inside = Inside::of(&self.body.polls);
            body.as_mut().poll(context)
        })
        .await
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.bodies.table().remove(&self.key);
    }
}

/// One poll; it ends as well where the body panics.
struct Inside<'p>(&'p AtomicU64);

impl<'p> Inside<'p> {
    fn of(polls: &'p AtomicU64) -> Self {
        polls.fetch_add(1, Ordering::Relaxed);
        Self(polls)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn looks(bodies: &Bodies, looks: &mut Looks, times: u32) -> usize {
        (0..times).map(|_| bodies.look(looks)).sum()
    }

    #[test]
    fn a_body_that_blocks_is_named_while_it_blocks() {
        let (bodies, mut seen) = (Bodies::default(), Looks::default());
        let entered = bodies.enter(1, "resize", "w");
        let ((inside, is_inside), (go, wait)) = (channel(), channel::<()>());
        let thread = std::thread::spawn(move || {
            let body = entered.count(async move {
                inside.send(()).unwrap();
                wait.recv().unwrap();
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(body);
        });
        is_inside.recv().unwrap();
        assert_eq!(looks(&bodies, &mut seen, BLOCKS_AFTER - 1), 0, "not yet");
        assert_eq!(looks(&bodies, &mut seen, 1), 1);
        assert_eq!(looks(&bodies, &mut seen, AGAIN_AFTER - 1), 0, "not at each look");
        assert_eq!(looks(&bodies, &mut seen, 1), 1);
        go.send(()).unwrap();
        thread.join().unwrap();
        assert!(bodies.table().is_empty(), "it has ended");
        assert_eq!((looks(&bodies, &mut seen, 10), seen.0.len()), (0, 0));
    }

    #[test]
    fn bodies_that_wait_and_bodies_that_are_polled_often_are_not_named() {
        let (bodies, mut seen) = (Bodies::default(), Looks::default());
        let (waits, busy) = (bodies.enter(1, "waits", "w"), bodies.enter(2, "busy", "w"));
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let mut waits = pin!(waits.count(std::future::pending::<()>()));
        assert!(waits.as_mut().poll(context).is_pending());
        for _ in 0..3 * BLOCKS_AFTER {
            let _inside = Inside::of(&busy.body.polls);
            assert_eq!(bodies.look(&mut seen), 0, "each look meets another poll");
        }
    }

    #[test]
    fn a_poll_that_panics_has_ended() {
        let (bodies, mut seen) = (Bodies::default(), Looks::default());
        let entered = bodies.enter(1, "resize", "w");
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
            let _ = pin!(entered.count(async { panic!("at the disco") })).poll(context);
        }));
        assert!(polled.is_err());
        assert_eq!(looks(&bodies, &mut seen, 2 * BLOCKS_AFTER), 0);
    }
}
