//! What the holder of a token completes (PROTOCOL 77): the token as text, and the mark of an attempt whose body said
//! that it is completed later.

use crate::store::TaskKey;
use abide_core::{EventId, ExecutionId};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Whether the body of an attempt has said that it is completed later.
#[derive(Debug, Default)]
pub(crate) struct Later {
    said: AtomicBool,
    hint: Notify,
}

impl Later {
    pub(super) fn say(&self) {
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
}
