//! Activities that are completed later, by the holder of a token (PROTOCOL 77): the token as text, and how a body says
//! that it is done without a result.

use super::context::CURRENT;
use crate::store::TaskKey;
use abide_core::{Code, EventId, ExecutionId};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Leaves this attempt to the holder of its [token](super::ActivityContext::completion_token): the body ends here, its
/// slot is free, and the workflow waits for the token. It never comes back, so it stands where the result would, and
/// has its type.
///
/// The activity's attribute has the word `complete_later`. With it the attempt is a task in the database, which
/// outlives its worker. A client of any process ends it with [`Client::activity`](crate::Client::activity), also before
/// the body gets here.
///
/// ```
/// use abide::prelude::*;
/// # async fn mail_link(_: &str, _: String) -> Result<(), Failure> { Ok(()) }
///
/// #[activity(complete_later, schedule_to_close = "7d")]
/// async fn ask_manager(document: String) -> Result<bool, Failure> {
///     mail_link(&document, activity::context().completion_token()).await?;
///     activity::complete_later().await
/// }
///
/// // Where the answer arrives, in any process:
/// async fn answered(client: Client, token: String, approved: bool) -> abide::Result<()> {
///     client.activity(ask_manager, token).complete(Ok(approved)).await
/// }
/// ```
///
/// # Panics
/// With `AB0429` outside of an activity's own task: in a unit test that calls the body, and in a task that the body has
/// spawned. Test such an activity in a `TestEnv`, and complete it there by its token.
///
/// An attempt that has no token, since its attribute has not the word, fails with `AB0429` (the attribute refuses that
/// where it sees the call).
pub async fn complete_later<T>() -> T {
    let said = CURRENT.try_with(|context| context.later().say());
    assert!(
        said.is_ok(),
        "{}: `activity::complete_later()` was awaited outside of an activity's own task: await it in the body, which a \
         worker runs; to test the activity, run it in a `TestEnv`",
        Code::ActivityToken
    );
    std::future::pending().await
}

/// Whether the body of an attempt has said that it is completed later.
#[derive(Debug, Default)]
pub(crate) struct Later {
    said: AtomicBool,
    hint: Notify,
}

impl Later {
    fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.hint.notify_one();
    }

    /// Resolves once the body has said it. One waiter.
    pub(super) async fn said(&self) {
        while !self.said.load(Ordering::Acquire) {
            self.hint.notified().await;
        }
    }
}

/// How a token begins: what it is, and its version.
const PREFIX: &str = "abide-activity-1-";

/// The text of a token. `name`: the activity's.
pub(crate) fn token_text(key: TaskKey, name: &str) -> String {
    let TaskKey { execution, activity, attempt, nonce } = key;
    format!("{PREFIX}{:016x}{:016x}{attempt:08x}{nonce:016x}{:08x}", execution.0, activity.0, hash(name))
}

/// The attempt that a token names. `Err`: what is wrong with it.
pub(crate) fn token_key(text: &str, name: &str) -> Result<TaskKey, String> {
    let other =
        || "it is not the text of `ActivityContext::completion_token`, whole and unchanged".to_owned();
    let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 64).ok_or_else(other)?;
    let part =
        |from: usize, to: usize| digits.get(from..to).and_then(|part| u64::from_str_radix(part, 16).ok());
    let parts = (part(0, 16), part(16, 32), part(32, 40), part(40, 56), part(56, 64));
    let (Some(execution), Some(activity), Some(attempt), Some(nonce), Some(of)) = parts else {
        return Err(other());
    };
    if of != u64::from(hash(name)) {
        return Err(format!("it is a token of another activity than `{name}`"));
    }
    Ok(TaskKey {
        execution: ExecutionId(execution.cast_signed()),
        activity: EventId(activity),
        attempt: u32::try_from(attempt).map_err(|_| other())?,
        nonce: nonce.cast_signed(),
    })
}

/// FNV-1a of a name: tells a token of another activity, for a clear error.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_whatever_is_not_one_is_refused() {
        for (execution, nonce) in [(1, 0), (i64::MAX, i64::MIN), (-7, -1), (1 << 40, 1 << 53)] {
            let (execution, activity, attempt) = (ExecutionId(execution), EventId(u64::MAX), u32::MAX);
            let key = TaskKey { execution, activity, attempt, nonce };
            let text = token_text(key, "ask");
            assert_eq!((token_key(&text, "ask"), text.len()), (Ok(key), PREFIX.len() + 64));
            let other = token_key(&text, "asks").unwrap_err();
            assert!(other.contains("another activity than `asks`"), "{other}");
            for bad in
                [&text[1..], &text[..text.len() - 1], &format!("{text}0"), &text.replace('f', "g"), "", "ä"]
            {
                assert_eq!(token_key(bad, "ask").is_ok(), bad == text, "{bad}");
            }
        }
        let wide = format!("{PREFIX}{}", "ä".repeat(32));
        assert!(token_key(&wide, "ask").is_err(), "cut inside of a character");
    }

    #[tokio::test]
    async fn said_before_or_after_the_look() {
        let later = Later::default();
        later.say();
        later.said().await;
        later.said().await;
        let later = std::sync::Arc::new(Later::default());
        let waits = tokio::spawn({
            let later = std::sync::Arc::clone(&later);
            async move { later.said().await }
        });
        tokio::task::yield_now().await;
        later.say();
        waits.await.unwrap();
    }

    #[tokio::test]
    #[should_panic(expected = "AB0429")]
    async fn outside_of_an_attempt_it_panics() {
        complete_later::<()>().await;
    }
}
