//! What is wrong with a spec.

use crate::Code;
use std::fmt;
use std::ops::Range;

/// What is wrong with a spec (`AB0425`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The field of the spec: `cron`, `every`, `calendar`, `exclude`, `zone`, `jitter`, `start_at`, `end_at`.
    pub field: &'static str,
    /// The text of the field, where it has one.
    pub text: String,
    /// The bytes of `text` that are wrong. Empty: all of it, or none.
    pub at: Range<usize>,
    /// What is wrong, and what to write.
    pub problem: String,
}

impl SpecError {
    /// All of a field is wrong, or the field has no text.
    pub(super) fn whole(field: &'static str, problem: String) -> Self {
        Self { field, text: String::new(), at: 0..0, problem }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` of the schedule: {}", Code::ScheduleSpec, self.field, self.problem)?;
        if self.text.is_empty() {
            return Ok(());
        }
        let before = self.text.get(..self.at.start).unwrap_or("").chars().count();
        let marked = self.text.get(self.at.clone()).unwrap_or("").chars().count().max(1);
        let shown = self.text.replace(char::is_control, " ");
        write!(f, "\n    {shown}\n    {}{}", " ".repeat(before), "^".repeat(marked))
    }
}

impl std::error::Error for SpecError {}
