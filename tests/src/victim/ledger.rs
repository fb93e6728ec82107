//! A file to which lines are only ever added, each on the disk before the call returns: what a killed process did is
//! read here, and not from its own database.
//!
//! A process that is killed while it writes leaves a torn last line. Whole lines end in a mark; the others never
//! counted, since their writing was not acknowledged.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Ends each whole line.
const MARK: &str = " .";

/// The file, open for adding. Several processes may have it open: each line is one write at the end.
pub(crate) struct Ledger(File);

impl Ledger {
    /// Opens it, or makes it. Where somebody left a torn line the next one begins afresh.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().append(true).create(true).open(path)?;
        if std::fs::read(path)?.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self(file))
    }

    /// Adds a line. A ledger that cannot be written makes every check worthless, so that ends the process.
    pub(crate) fn add(&self, line: &str) {
        let mut file = &self.0;
        let whole = format!("{line}{MARK}\n");
        file.write_all(whole.as_bytes()).and_then(|()| file.sync_data()).expect("the ledger can be written");
    }
}

/// The whole lines so far, oldest first.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split_inclusive('\n')
        .filter_map(|line| Some(line.strip_suffix('\n')?.strip_suffix(MARK)?.to_owned()))
        .collect()
}
