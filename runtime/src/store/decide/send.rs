//! The answer to a sender whose message has no open receiver.

#[cfg(any(feature = "sqlite", feature = "testing", test))]
use crate::store::message::MessageKind;
use crate::store::message::{NewMessage, SendAnswer, took_in};

#[cfg(any(feature = "sqlite", feature = "testing"))]
impl MessageKind {
    /// Whether a closed execution receives it too: it still answers queries. In SQL: `kind = 2`.
    pub(crate) fn reaches_closed(self) -> bool {
        self == Self::Query
    }
}

/// The answer if there is no open execution. `bodies`: the rows of its journal that may hold the request.
/// `None`: there is no such execution.
pub(crate) fn not_open<'b>(
    bodies: Option<impl IntoIterator<Item = &'b str>>,
    message: &NewMessage,
) -> SendAnswer {
    match bodies {
        None => SendAnswer::NoSuchExecution,
        Some(bodies) => match took_in(bodies, message.kind, &message.request_id) {
            true => SendAnswer::Known,
            false => SendAnswer::Closed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::ExecutionId;

    #[test]
    fn a_closed_run_knows_what_it_took_in() {
        let message = NewMessage {
            execution: ExecutionId(1),
            kind: MessageKind::Signal,
            request_id: "s1".to_owned(),
            body: String::new(),
            at_ms: 0,
        };
        let took = r#"[{"signaled":{"name":"note","request_id":"s1"}}]"#;
        assert_eq!(not_open(None::<[&str; 0]>, &message), SendAnswer::NoSuchExecution);
        assert_eq!(not_open(Some([took]), &message), SendAnswer::Known);
        assert_eq!(not_open(Some(["[]"]), &message), SendAnswer::Closed);
    }
}
