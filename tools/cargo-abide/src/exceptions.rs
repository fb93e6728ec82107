//! `cargo abide exceptions`: lists every place of a crate that exempts itself from a check, for a reviewer.

use crate::sources::{self, Source};
use crate::{Answer, Failed};
use std::fmt::Write as _;
use std::path::Path;

pub(crate) fn run(path: &Path) -> Result<Answer, Failed> {
    let sources = sources::read(path)?;
    let (mut text, mut count, mut without) = (String::new(), 0, 0);
    let mut failed = Vec::new();
    for Source { shown, text: source } in &sources {
        let exceptions = match abide_analysis::exceptions(source) {
            Ok(exceptions) => exceptions,
            Err(error) => {
                failed.push(format!("{shown}:{} does not parse: {error}", error.span().start().line));
                continue;
            }
        };
        for one in exceptions {
            count += 1;
            without += usize::from(one.reason.is_empty());
            let reason = if one.reason.is_empty() { "NO REASON GIVEN" } else { &one.reason };
            let (line, kind, covers) = (one.line, one.kind, &one.covers);
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{shown}:{line}: {kind} on `{covers}`: {reason}");
        }
    }
    let _ = writeln!(text, "{count} exceptions in {} files, {without} without a reason", sources.len());
    for file in &failed {
        let _ = writeln!(text, "not read: {file}");
    }
    Ok(Answer { text, exit: u8::from(without > 0 || !failed.is_empty()) })
}
