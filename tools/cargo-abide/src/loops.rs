//! `cargo abide loops`: warns of workflows whose history has no end (AB0151).

use crate::sources::{self, Source};
use crate::{Answer, Failed};
use std::fmt::Write as _;
use std::path::Path;

pub(crate) fn run(path: &Path) -> Result<Answer, Failed> {
    let (mut text, mut count, mut failed) = (String::new(), 0, 0);
    let sources = sources::read(path)?;
    for Source { shown, text: source } in &sources {
        let loops = match abide_analysis::endless_loops(source) {
            Ok(loops) => loops,
            Err(error) => {
                failed += 1;
                let line = error.span().start().line;
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "not read: {shown}:{line} does not parse: {error}");
                continue;
            }
        };
        for one in loops {
            count += 1;
            let _ = writeln!(
                text,
                "warning: {}: {shown}:{}:{}: a loop in `{}` awaits and never ends, so its history grows until it \
                 is suspended: end the run in time by `workflow::continue_as_new`",
                abide_analysis::EndlessLoop::code(),
                one.line,
                one.column,
                one.function
            );
        }
    }
    let _ = writeln!(text, "{count} endless loops in {} files", sources.len());
    Ok(Answer { text, exit: u8::from(failed > 0) })
}
