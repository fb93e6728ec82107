//! A recorded history outside of its database: one JSON document with a format number and one event per line,
//! so that a change can be reviewed as a diff.
//!
//! It contains only what a replay needs: no owner, no inbox, no status. It never changes what it was given:
//! payloads keep the text of the journal.

use crate::client::UntypedHandle;
use crate::error::{Error, Result};
use crate::store::ExecutionRow;
use crate::{Handle, HandleCore};
use abide_core::{Event, EventId, JournalRow, Payload, RULES, WorkflowDef};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// The number of the document's format. It changes when this build can no longer read the format of an older
/// build.
const FORMAT: u64 = 1;

/// The recorded history of one run, in memory or in a file.
///
/// It holds the run's payloads unchanged: arguments, results, signals. Before you put a history from
/// production into a repository, check that it contains no secrets.
///
/// ```no_run
/// # async fn export(abide: abide::Abide) -> abide::Result<()> {
/// use abide::testing::replay::History;
/// let order = abide.client().execution("order-42"); // or a typed handle
/// History::of(&order).await?.write("tests/histories/order-42.json")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    workflow_type: String,
    workflow_id: String,
    run_id: String,
    task_queue: String,
    rows: Vec<JournalRow>,
}

/// The field that every format of the document has.
#[derive(Deserialize)]
struct Format {
    abide_history: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Document {
    workflow_type: String,
    workflow_id: String,
    run_id: String,
    task_queue: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    seq: EventId,
    at_ms: i64,
    events: Vec<Event>,
}

impl History {
    /// The history of the handle's run, as far as it is recorded now. This works for open, suspended and
    /// closed runs, with or without a worker. A run that no worker has begun has only its arguments: one
    /// event, whose seed is 0.
    ///
    /// # Errors
    /// `AB0406` if there is no such run; `AB0209` if its journal is damaged; `AB05xx` if the database cannot
    /// be read.
    pub async fn of(handle: impl Into<UntypedHandle>) -> Result<Self> {
        let (row, rows) = handle.into().recorded().await?;
        Self::recorded(&row, rows)
    }

    pub(super) fn recorded(row: &ExecutionRow, mut rows: Vec<JournalRow>) -> Result<Self> {
        if let Some(input) = row.input.clone().filter(|_| rows.is_empty()) {
            let input = Payload::from_json(input)?;
            let events =
                vec![Event::Started { input, seed: 0, rules: RULES, early: 0, context: Box::default() }];
            rows.push(JournalRow { seq: EventId(1), at_ms: row.created_at_ms, events });
        }
        Ok(Self {
            workflow_type: row.workflow_type.clone(),
            workflow_id: row.workflow_id.clone(),
            run_id: row.run_id.clone(),
            task_queue: row.queue.clone(),
            rows,
        })
    }

    /// Reads a document that [`History::to_json`] created.
    ///
    /// # Errors
    /// `AB0213` if it has another format; `AB0214` if it is not a history or is damaged. Rows that do not
    /// join up are not an error here: the replay reports them (`AB0209`).
    pub fn from_json(text: &str) -> Result<Self> {
        Self::parse(text, "the JSON text")
    }

    /// Reads a file that [`History::write`] wrote.
    ///
    /// # Errors
    /// `AB0214` if the file cannot be read, and those of [`History::from_json`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let what = format!("the file `{}`", path.as_ref().display());
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &what),
            Err(error) => Err(unusable(&what, "it cannot be read", error)),
        }
    }

    /// Writes the document to a file, and replaces an existing file. The folder must exist.
    ///
    /// # Errors
    /// `AB0214` if the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let what = format!("the file `{}`", path.as_ref().display());
        std::fs::write(path, self.to_json()).map_err(|error| unusable(&what, "it cannot be written", error))
    }

    fn parse(text: &str, what: &str) -> Result<Self> {
        let damaged = |error| unusable(what, "it is damaged", error);
        let format: Format = serde_json::from_str(text).map_err(damaged)?;
        match format.abide_history {
            Some(found) if found == FORMAT => {}
            Some(found) => {
                let (what, found) = (what.to_owned(), found.to_string());
                return Err(Error::HistoryFormat { what, found, known: FORMAT });
            }
            None => {
                let message = "it is no history: it has no field `abide_history`".to_owned();
                return Err(Error::HistoryUnusable { what: what.to_owned(), message, source: None });
            }
        }
        let document: Document = serde_json::from_str(text).map_err(damaged)?;
        let Document { workflow_type, workflow_id, run_id, task_queue, rows } = document;
        let rows = rows.into_iter().map(|Row { seq, at_ms, events }| JournalRow { seq, at_ms, events });
        Ok(Self { workflow_type, workflow_id, run_id, task_queue, rows: rows.collect() })
    }

    /// The document: JSON, one line for each event. It ends with a line feed.
    pub fn to_json(&self) -> String {
        let mut text = format!("{{\n  \"abide_history\": {FORMAT},\n");
        let names = [
            ("workflow_type", &self.workflow_type),
            ("workflow_id", &self.workflow_id),
            ("run_id", &self.run_id),
            ("task_queue", &self.task_queue),
        ];
        for (name, value) in names {
            let _ = writeln!(text, "  \"{name}\": {},", json(value));
        }
        let rows = self.rows.iter().map(|row| {
            let events = row.events.iter().map(|event| format!("      {}", json(event)));
            let (seq, at_ms, events) = (row.seq, row.at_ms, events.collect::<Vec<_>>().join(",\n"));
            format!("    {{\"seq\": {seq}, \"at_ms\": {at_ms}, \"events\": [\n{events}\n    ]}}")
        });
        let rows = rows.collect::<Vec<_>>().join(",\n");
        let _ = writeln!(text, "  \"rows\": [\n{rows}\n  ]\n}}");
        text
    }

    /// The name of its workflow type, by which the code is found.
    pub fn workflow_type(&self) -> &str {
        &self.workflow_type
    }

    /// The workflow id.
    pub fn workflow_id(&self) -> &str {
        &self.workflow_id
    }

    /// The run id.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The task queue on which it was started.
    pub fn task_queue(&self) -> &str {
        &self.task_queue
    }

    /// Its turns, as the journal holds them.
    pub fn rows(&self) -> &[JournalRow] {
        &self.rows
    }

    /// Its events with their numbers and the times of their rows.
    pub(super) fn events(&self) -> impl Iterator<Item = (u64, i64, &Event)> {
        let rows = self.rows.iter();
        rows.flat_map(|row| (row.seq.0..).zip(&row.events).map(|(number, event)| (number, row.at_ms, event)))
    }

    pub(super) fn last(&self) -> Option<&Event> {
        self.rows.last().and_then(|row| row.events.last())
    }

    /// Whether the run has ended.
    pub fn is_closed(&self) -> bool {
        self.last().is_some_and(Event::is_close)
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("texts and events always encode")
}

fn unusable(what: &str, message: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("{message}: {source}");
    Error::HistoryUnusable { what: what.to_owned(), message, source: Some(Box::new(source)) }
}

impl From<&UntypedHandle> for UntypedHandle {
    fn from(handle: &UntypedHandle) -> Self {
        handle.clone()
    }
}

impl<W: WorkflowDef> From<&HandleCore<W>> for UntypedHandle {
    fn from(handle: &HandleCore<W>) -> Self {
        handle.untyped()
    }
}

impl<W: crate::client::WorkflowHandle> From<&Handle<W>> for UntypedHandle {
    fn from(handle: &Handle<W>) -> Self {
        handle.untyped()
    }
}
