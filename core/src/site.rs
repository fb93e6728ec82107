//! The place of one await.

use std::fmt;

/// The place of one await: file, line, column and source text. The macros put one next to each `.await`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The file, as rustc names it.
    pub file: &'static str,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// The source text of the awaited expression.
    pub text: &'static str,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{} `{}`", self.file, self.line, self.column, self.text)
    }
}
