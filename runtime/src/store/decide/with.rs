//! Starts that bring messages, and find an open run (PROTOCOL 49).

use crate::store::execution::{ExecutionRow, NewExecution};
use crate::store::message::{NewMessage, Reply};
use abide_core::ExecutionId;

/// How long it is remembered which run has the messages of a start, in milliseconds.
const KEPT_MS: i64 = 600_000;

/// The key of the note which run has the messages of this start. `None`: it brings none. The length keeps name `a/b`
/// with request `c` apart from name `b/c` with request `a`.
pub(crate) fn joined_key(new: &NewExecution) -> Option<String> {
    let id = new.request_id.as_ref().unwrap_or(&new.run_id);
    (!new.with.is_empty()).then(|| format!("with/{}/{id}/{}", id.len(), new.workflow_id))
}

/// The note, which is written together with the messages. Without it, a start whose answer was lost would be tried
/// again after that run has closed, and would start another one with the same messages.
pub(crate) fn joined(new: &NewExecution, run: ExecutionId) -> Option<Reply> {
    let (body, expires_at_ms) = (run.0.to_string(), new.created_at_ms.saturating_add(KEPT_MS));
    joined_key(new).map(|request_id| Reply { request_id, body, stage: 0, expires_at_ms, asker: None })
}

/// The run that a note names.
pub(crate) fn joined_run(note: &str) -> Option<ExecutionId> {
    if mutant!(ForgetJoined) { None } else { note.parse().ok().map(ExecutionId) }
}

/// Whether the start sends its messages to this open run, which its policy uses. A run of another type has no use for
/// them, and the caller is told so.
pub(crate) fn joins(new: &NewExecution, open: &ExecutionRow) -> bool {
    !new.with.is_empty() && open.workflow_type == new.workflow_type
}

/// The messages, to this run.
pub(crate) fn messages_to(new: &NewExecution, run: ExecutionId) -> impl Iterator<Item = NewMessage> {
    new.with.iter().map(move |message| NewMessage { execution: run, ..message.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{new, row};
    use super::*;
    use crate::status::ExecutionStatus;
    use crate::store::message::MessageKind;

    fn with(name: &str, request_id: Option<&str>) -> NewExecution {
        let signal = NewMessage {
            execution: ExecutionId(1),
            kind: MessageKind::Signal,
            request_id: "s".to_owned(),
            body: "{}".to_owned(),
            at_ms: 1,
        };
        let request_id = request_id.map(str::to_owned);
        NewExecution { workflow_id: name.to_owned(), request_id, with: vec![signal], ..new() }
    }

    #[test]
    fn a_note_has_the_request_and_the_name() {
        assert_eq!(joined_key(&new()), None);
        assert_eq!(joined_key(&with("n", None)).unwrap(), "with/1/r/n", "the run id without a request id");
        let keys = [("a/b", "c"), ("b/c", "a")].map(|(name, id)| joined_key(&with(name, Some(id))));
        assert_ne!(keys[0], keys[1]);
        let note = joined(&with("n", Some("q")), ExecutionId(7)).unwrap();
        assert_eq!((joined_run(&note.body), note.expires_at_ms), (Some(ExecutionId(7)), 600_100));
        assert_eq!(joined_run("?"), None);
    }

    #[test]
    fn messages_go_to_the_run_of_the_same_type() {
        let open = row(ExecutionStatus::Running);
        assert!(!joins(&new(), &open) && joins(&with("n", None), &open));
        assert!(!joins(&NewExecution { workflow_type: "Bill".to_owned(), ..with("n", None) }, &open));
        let to: Vec<_> = messages_to(&with("n", None), ExecutionId(9)).collect();
        assert_eq!((to.len(), to[0].execution), (1, ExecutionId(9)));
    }
}
