//! Which messages are parked: claims and drains do not read them (PROTOCOL 97).
//!
//! A run that is suspended or paused takes nothing in, however long it stays so. Its unread messages may be
//! many, and each claim would walk over them.

#[cfg(any(test, feature = "testing"))]
use crate::status::ExecutionStatus;
#[cfg(any(test, feature = "testing"))]
use crate::store::message::MessageKind;

/// Whether a message of this kind is parked when it is sent to a run of this status. Its sender holds a lock
/// on the run's row, so that a resume sees the message. A query is answered for suspended runs too. A report
/// of an end takes no lock, and the rows that tell a worker of an end must be found at once.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn parks(status: ExecutionStatus, kind: MessageKind) -> bool {
    let stands = matches!(status.code(), 1 | 2);
    stands
        && match kind {
            MessageKind::Signal | MessageKind::Cancel | MessageKind::Attempt | MessageKind::Update => true,
            MessageKind::Query
            | MessageKind::Terminated
            | MessageKind::Answer
            | MessageKind::ChildEnded
            | MessageKind::Terminate
            | MessageKind::Newer(_) => false,
        }
}

/// The statuses of [`parks`] in SQL, of a column `status`: suspended, and paused, which no statement writes yet.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! parking_statuses {
    () => {
        "IN (1, 2)"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use parking_statuses;

/// The kinds of [`parks`] in SQL, of a column `kind`.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! parkable_kinds {
    () => {
        "IN (0, 1, 4, 5)"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use parkable_kinds;

/// [`parks`] in SQL, of two expressions.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! parks_sql {
    ($status:literal, $kind:literal) => {
        concat!(
            "(",
            $status,
            " ",
            $crate::store::decide::parking_statuses!(),
            " AND ",
            $kind,
            " ",
            $crate::store::decide::parkable_kinds!(),
            ")"
        )
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use parks_sql;

#[cfg(test)]
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod tests {
    use super::*;

    /// The numbers of an SQL list.
    fn numbers(list: &str) -> Vec<i64> {
        let list = list.trim_start_matches("IN (").trim_end_matches(')');
        list.split(", ").map(|number| number.parse().unwrap()).collect()
    }

    #[test]
    fn rust_and_sql_say_the_same() {
        let (statuses, kinds) = (numbers(parking_statuses!()), numbers(parkable_kinds!()));
        for status in -1..40 {
            for kind in -1..20 {
                let parks = parks(ExecutionStatus::from_code(status), MessageKind::from_code(kind));
                assert_eq!(parks, statuses.contains(&status) && kinds.contains(&kind), "{status} {kind}");
            }
        }
        assert_eq!(parks_sql!("e.status", "$2"), "(e.status IN (1, 2) AND $2 IN (0, 1, 4, 5))");
    }
}
