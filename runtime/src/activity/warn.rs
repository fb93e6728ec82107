//! Warnings about running attempts: for a long time without a limit (AB0605), or inside one poll for a long
//! time (AB0623).
//!
//! An async body that blocks its thread delays everything else on the user's runtime. The warning must come
//! while it blocks, so that runtime cannot give it: a thread of the engine samples each body's count of
//! polls. It counts samples, not seconds: a process that was stopped and continues has no blocked thread.

use super::running::Running;
use abide_core::Code;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an attempt without any limit may run before a warning names it.
const WARN_AFTER: Duration = Duration::from_secs(60);
/// After this many samples in a row inside the same poll a body counts as blocked: more than 1 s, at four samples
/// a second.
const BLOCKS_AFTER: u32 = 5;
/// The number of further samples until the warning is repeated: a minute.
const AGAIN_AFTER: u32 = 240;

/// Awaits the body. Warns once if it runs long without a limit.
pub(super) async fn warned<T>(name: &str, unbounded: bool, mut body: impl Future<Output = T> + Unpin) -> T {
    if unbounded {
        // The timer is polled after the body, so a body that ends at once never touches it.
        tokio::select! {
            biased;
            outcome = &mut body => return outcome,
            () = tokio::time::sleep(WARN_AFTER) => tracing::warn!(
                code = Code::RunsLong.as_str(),
                activity = name,
                "{}: activity `{name}` has run for a minute and has no time limit: give it \
                 `start_to_close = \"..\"`, or a hang will not be noticed",
                Code::RunsLong
            ),
        }
    }
    body.await
}

/// What earlier samples found inside a poll, by attempt: which poll, and in how many samples in a row.
#[derive(Default)]
pub(crate) struct Samples(BTreeMap<u64, (u64, u32)>);

impl Samples {
    /// One sample of the bodies that are inside a poll, given as the key of each and its poll. Returns the keys
    /// to warn about.
    pub(super) fn take(&mut self, inside: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
        let before = std::mem::take(&mut self.0);
        let mut blocked = Vec::new();
        for (key, poll) in inside {
            let seen = before.get(&key).filter(|(known, _)| *known == poll).map_or(0, |(_, seen)| *seen) + 1;
            self.0.insert(key, (poll, seen));
            if seen >= BLOCKS_AFTER && (seen - BLOCKS_AFTER).is_multiple_of(AGAIN_AFTER) {
                blocked.push(key);
            }
        }
        blocked
    }
}

/// Warns about a body that blocks its thread.
pub(super) fn is_blocked(running: &Running) {
    let Running { name, workflow_id, .. } = running;
    tracing::warn!(
        code = Code::ActivityBlocks.as_str(),
        activity = name,
        workflow_id = &**workflow_id,
        "{}: activity `{name}` of workflow `{workflow_id}` has blocked its thread for more than 1 s: \
         nothing else runs on that thread meanwhile; make the activity a plain `fn`, which runs on the blocking \
         pool, or move what blocks into `tokio::task::spawn_blocking(..)` and await it",
        Code::ActivityBlocks
    );
}

#[cfg(test)]
mod tests {
    use super::super::running::Polls;
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    /// Takes this many samples of the bodies. Returns the number of warnings.
    fn samples(bodies: &[&Polls], samples: &mut Samples, times: u32) -> usize {
        let inside =
            || bodies.iter().zip(1..).filter_map(|(polls, key)| polls.current().map(|poll| (key, poll)));
        (0..times).map(|_| samples.take(inside()).len()).sum()
    }

    #[test]
    fn a_body_that_blocks_is_named_while_it_blocks() {
        let (polls, mut seen) = (Arc::new(Polls::default()), Samples::default());
        let ((inside, is_inside), (go, wait)) = (channel(), channel::<()>());
        let counted = Arc::clone(&polls);
        let thread = std::thread::spawn(move || {
            let body = counted.count(async move {
                inside.send(()).unwrap();
                wait.recv().unwrap();
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(body);
        });
        is_inside.recv().unwrap();
        assert_eq!(samples(&[&polls], &mut seen, BLOCKS_AFTER - 1), 0, "not yet");
        assert_eq!(samples(&[&polls], &mut seen, 1), 1);
        assert_eq!(samples(&[&polls], &mut seen, AGAIN_AFTER - 1), 0, "not at each sample");
        assert_eq!(samples(&[&polls], &mut seen, 1), 1);
        go.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!((samples(&[&polls], &mut seen, 10), seen.0.len()), (0, 0), "its poll has ended");
    }

    #[test]
    fn bodies_that_wait_and_bodies_that_are_polled_often_are_not_named() {
        let (waits, busy, mut seen) = (Polls::default(), Polls::default(), Samples::default());
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let mut body = std::pin::pin!(waits.count(std::future::pending::<()>()));
        assert!(body.as_mut().poll(context).is_pending());
        for _ in 0..3 * BLOCKS_AFTER {
            let _inside = busy.inside();
            assert_eq!(samples(&[&waits, &busy], &mut seen, 1), 0, "each sample meets another poll");
        }
    }
}
