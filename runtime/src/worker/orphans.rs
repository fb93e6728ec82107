//! Sends the close policies of closed runs to their children (PROTOCOL 55).

use super::session::Session;
use std::sync::Arc;

/// Until the session ends: at once after a run of this worker has closed that had children, and once a poll, since the
/// worker that closed a run may be gone.
pub(super) async fn orphans_loop(session: Arc<Session>) {
    while !session.is_over() {
        match session.store().tell_orphans().await {
            // More children than one call tells.
            Ok(orphans) if orphans.left > 0 && orphans.told > 0 => continue,
            Ok(_) => {}
            Err(error) => session.failed(&error),
        }
        tokio::select! {
            biased;
            () = session.orphans_hint.notified() => {}
            () = tokio::time::sleep(session.pace().poll) => {}
        }
    }
}
