//! Which sections a batch has: the parts of its statement. Sections that no append needs are left out.

use crate::store::append::Append;

/// A set of sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sections(u16);

impl Sections {
    /// Nothing but the fence.
    pub(crate) const NONE: Self = Self(0);
    /// Rows of `execution` are inserted.
    pub(crate) const BIRTHS: Self = Self(1);
    /// Rows of the journal.
    pub(crate) const JOURNAL: Self = Self(1 << 1);
    /// Inbox rows that were taken in are deleted.
    pub(crate) const CONSUMED: Self = Self(1 << 2);
    /// Messages are sent.
    pub(crate) const MESSAGES: Self = Self(1 << 3);
    /// Rows of `execution` are changed.
    pub(crate) const ROWS: Self = Self(1 << 4);
    /// Tasks are changed.
    pub(crate) const TASKS: Self = Self(1 << 5);
    /// What closed runs have left is deleted.
    pub(crate) const CLOSES: Self = Self(1 << 6);
    /// Failed attempts are changed.
    pub(crate) const ATTEMPTS: Self = Self(1 << 7);
    /// Answers are kept for other processes.
    pub(crate) const REPLIES: Self = Self(1 << 8);
    /// Children are inserted.
    pub(crate) const CHILDREN: Self = Self(1 << 9);
    /// Parents are told of ends.
    pub(crate) const REPORTS: Self = Self(1 << 10);
    /// A run goes on for one that closes.
    pub(crate) const FOLLOWED: Self = Self(1 << 11);
    /// Items of streams are published.
    pub(crate) const PUBLISHED: Self = Self(1 << 12);
    /// How many sections there are.
    #[cfg(test)]
    const COUNT: u32 = 13;

    /// Those that an append needs.
    pub(crate) fn of(append: &Append) -> Self {
        let needed = [
            (!append.births.is_empty(), Self::BIRTHS),
            (append.n > 0, Self::JOURNAL),
            (!append.consumed.is_empty(), Self::CONSUMED),
            (append.sent().next().is_some(), Self::MESSAGES),
            (append.changes_row() && !append.starts(), Self::ROWS),
            (!append.task_changes().is_empty(), Self::TASKS),
            (append.closes_row(), Self::CLOSES),
            (!append.attempt_changes().is_empty(), Self::ATTEMPTS),
            (!append.replies.is_empty(), Self::REPLIES),
            (!append.children.is_empty(), Self::CHILDREN),
            (append.report.is_some() && append.closes_row(), Self::REPORTS),
            (append.successor.is_some(), Self::FOLLOWED),
            (!append.published.is_empty(), Self::PUBLISHED),
        ];
        needed.into_iter().filter(|(is, _)| *is).fold(Self::NONE, |all, (_, section)| all.and(section))
    }

    /// These and those.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of `sections` is here.
    pub(crate) const fn has(self, sections: Self) -> bool {
        self.0 & sections.0 != 0
    }

    /// Every combination that appends can make.
    #[cfg(test)]
    pub(crate) fn every() -> impl Iterator<Item = Self> {
        let needs = |all: Self, section, of| !all.has(section) || all.has(of);
        (0..1 << Self::COUNT).map(Self).filter(move |all| {
            needs(*all, Self::CLOSES, Self::ROWS)
                && needs(*all, Self::REPORTS, Self::CLOSES)
                && needs(*all, Self::FOLLOWED, Self::CLOSES.and(Self::BIRTHS))
                && needs(*all, Self::CHILDREN.and(Self::PUBLISHED), Self::JOURNAL)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::new;
    use super::*;
    use crate::status::ExecutionStatus;
    use crate::store::append::{Close, CloseKind, RowChange};
    use abide_core::{ExecutionId, Incarnation};

    #[test]
    fn a_start_that_closes_at_once_changes_no_row() {
        let bare = Append::bare(Incarnation(1), ExecutionId(1), 1);
        assert_eq!(Sections::of(&bare), Sections::NONE);
        let (kind, status) = (CloseKind::Drained, ExecutionStatus::Completed);
        let close = Some(Close { kind, status, result: String::new() });
        let closes = Append { close: close.clone(), ..bare.clone() };
        assert_eq!(Sections::of(&closes), Sections::ROWS.and(Sections::CLOSES));
        let row = Some(RowChange::default());
        assert_eq!(Sections::of(&Append { row: row.clone(), ..bare.clone() }), Sections::ROWS);
        let whole = Append { close, row, births: vec![new()], n: 1, ..bare };
        assert_eq!(Sections::of(&whole), Sections::BIRTHS.and(Sections::JOURNAL));
        assert_eq!(Sections::every().count(), 2_240);
    }
}
