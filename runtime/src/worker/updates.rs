//! Answers to updates: to clients of other processes by rows, which go with the turn (PROTOCOL 46).

use crate::store::Reply;
use crate::wire::{rejected_key, to_json, update_key};
use abide_core::ExecutionId;
use abide_core::exec::{UpdateNews, UpdateState};

/// How long an answer is kept, in milliseconds. A client that waits longer asks again.
const KEPT_MS: i64 = 600_000;

/// The rows for what became of updates in a turn: one for each key, the last.
pub(super) fn replies(run: ExecutionId, news: &[UpdateNews], now_ms: i64) -> Vec<Reply> {
    let mut replies: Vec<Reply> = Vec::new();
    for news in news.iter().filter(|news| !news.askers.is_empty()) {
        let request_id = match &news.ask {
            Some(ask) if news.state.is_refusal() && !mutant!(RejectByUpdateId) => rejected_key(ask),
            _ => update_key(run, &news.update_id),
        };
        // Several have asked: all look.
        let asker = match news.askers.as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        let stage = stage(&news.state);
        let reply =
            Reply { request_id, body: to_json(&news.state), stage, expires_at_ms: now_ms + KEPT_MS, asker };
        match replies.iter_mut().find(|kept| kept.request_id == reply.request_id) {
            Some(kept) if kept.asker == reply.asker => *kept = reply,
            Some(kept) => *kept = Reply { asker: None, ..reply },
            None => replies.push(reply),
        }
    }
    replies
}

fn stage(state: &UpdateState) -> i16 {
    match state {
        UpdateState::Completed(_) | UpdateState::Aborted | UpdateState::Earlier(_) => 1,
        _ => 0,
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "updates_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "updates_chain_tests.rs"]
mod chain_tests;
