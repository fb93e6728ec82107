//! The records of the outside world: a file to which the fake providers append what they did. It stands for
//! the books of a bank and a warehouse, so it is not in the database and knows nothing of workflows.
//!
//! It does not deduplicate. An activity runs *at least once*: if it is killed between its effect and the
//! commit of its result, it runs again and writes a second line with the same idempotency key. Readers of the
//! books count each key once.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// One line of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub kind: Kind,
    /// The idempotency key: the same for each attempt of one activity.
    pub key: String,
    pub order: String,
    /// The amount charged or refunded. 0 for entries without money.
    pub cents: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Charge,
    Refund,
    Reserve,
    Release,
    Pack,
    Label,
    Invoice,
}

/// The file, open for appending. Clones share it.
#[derive(Clone)]
pub struct Ledger(Arc<Mutex<File>>);

impl Ledger {
    /// Opens the file, or creates it. Other processes may have it open too.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Appends one line, and returns when it is on the disk. A line break is written before the line too: the
    /// last line of a process that was killed, or of a power cut, may be incomplete and must not damage this
    /// one. The writer of the incomplete line got no confirmation, and will write the line again.
    pub async fn append(&self, entry: Entry) -> io::Result<()> {
        let file = Arc::clone(&self.0);
        let write = move || {
            let line = format!("\n{}\n", serde_json::to_string(&entry)?);
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        tokio::task::spawn_blocking(write).await?
    }
}

/// The totals of the ledger, with each idempotency key counted once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub charges: usize,
    pub refunds: usize,
    pub charged_cents: i64,
    pub refunded_cents: i64,
    /// Lines with a key that occurred before: activities that ran twice.
    pub repeated: usize,
}

impl Books {
    /// Reads the file from the start.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::count(&String::from_utf8_lossy(&fs::read(path)?)))
    }

    fn count(text: &str) -> Self {
        let mut books = Self::default();
        let mut seen = BTreeMap::new();
        // A line that does not parse is empty or incomplete: see `Ledger::append`.
        for entry in text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
            if seen.insert(entry.key, entry.kind).is_some() {
                books.repeated += 1;
                continue;
            }
            match entry.kind {
                Kind::Charge => {
                    books.charges += 1;
                    books.charged_cents += entry.cents;
                }
                Kind::Refund => {
                    books.refunds += 1;
                    books.refunded_cents += entry.cents;
                }
                Kind::Reserve | Kind::Release | Kind::Pack | Kind::Label | Kind::Invoice => {}
            }
        }
        books
    }

    pub fn net_cents(&self) -> i64 {
        self.charged_cents - self.refunded_cents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(key: &str) -> Entry {
        Entry { kind: Kind::Charge, key: key.into(), order: "order-1".into(), cents: 100 }
    }

    #[tokio::test]
    async fn a_key_counts_once_and_a_torn_line_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let ledger = Ledger::open(&path).unwrap();
        ledger.append(charge("a/1")).await.unwrap();
        ledger.append(charge("b/1")).await.unwrap();
        drop(ledger);
        // Simulate a kill in the middle of a line.
        let torn = fs::read(&path).unwrap();
        fs::write(&path, &torn[..torn.len() - 9]).unwrap();

        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(Books::read(&path).unwrap().charges, 1);
        ledger.append(charge("b/1")).await.unwrap();
        ledger.append(charge("b/1")).await.unwrap();
        ledger.append(Entry { kind: Kind::Refund, ..charge("b/2") }).await.unwrap();
        let books = Books::read(&path).unwrap();
        let expected = Books { charges: 2, refunds: 1, charged_cents: 200, refunded_cents: 100, repeated: 1 };
        assert_eq!(books, expected);
    }
}
