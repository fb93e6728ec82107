//! The database as a stranger reads it: by SQL, not through the engine.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// One execution with its history.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
    /// 0 running, 1 suspended, 10 completed, 11 failed, ..
    pub(crate) status: i64,
    pub(crate) owner: Option<i64>,
    pub(crate) result: Option<serde_json::Value>,
    pub(crate) suspension: Option<serde_json::Value>,
    pub(crate) rows: Vec<Row_>,
    /// Request ids of messages that it has not taken in.
    pub(crate) inbox: Vec<String>,
}

/// One journal row.
#[derive(Debug)]
pub(crate) struct Row_ {
    pub(crate) seq: i64,
    pub(crate) n: i64,
    pub(crate) writer: i64,
    /// Kind and fields of each event.
    pub(crate) events: Vec<(String, serde_json::Value)>,
}

impl Execution {
    /// All its events in order, each with its number.
    pub(crate) fn events(&self) -> impl Iterator<Item = (i64, &str, &serde_json::Value)> {
        let events = self.rows.iter().flat_map(|row| &row.events);
        (1..).zip(events).map(|(number, (kind, fields))| (number, kind.as_str(), fields))
    }

    /// The key that the activity with this number runs under.
    pub(crate) fn key(&self, activity: i64) -> String {
        format!("{}/{activity}", self.run_id)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.status < 10
    }
}

/// Opens it for reading, or for writing where a test plays fate.
pub(crate) async fn connect(path: &Path, read_only: bool) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).read_only(read_only);
    let options = options.busy_timeout(std::time::Duration::from_secs(60));
    options.connect().await.expect("the database can be read")
}

/// Every execution by its id, in one view: a transaction that only reads.
pub(crate) async fn read(path: &Path) -> BTreeMap<i64, Execution> {
    let mut connection = connect(path, true).await;
    let view = "BEGIN";
    sqlx::query(view).execute(&mut connection).await.expect("a view");
    let mut all = BTreeMap::new();
    let query = "SELECT id, workflow_id, run_id, status, owner, result, suspension FROM execution";
    for row in sqlx::query(query).fetch_all(&mut connection).await.expect("executions") {
        let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text).expect("it is JSON"));
        let execution = Execution {
            workflow_id: row.get(1),
            run_id: row.get(2),
            status: row.get(3),
            owner: row.get(4),
            result: json(row.get(5)),
            suspension: json(row.get(6)),
            rows: Vec::new(),
            inbox: Vec::new(),
        };
        all.insert(row.get::<i64, _>(0), execution);
    }
    let query = "SELECT execution, seq, n, writer, body FROM journal ORDER BY execution, seq";
    for row in sqlx::query(query).fetch_all(&mut connection).await.expect("the journal") {
        let events: Vec<serde_json::Value> = serde_json::from_str(row.get(4)).expect("a row is a JSON array");
        let events = events.into_iter().map(kind_and_fields).collect();
        let execution = all.get_mut(&row.get::<i64, _>(0)).expect("a journal row belongs to an execution");
        execution.rows.push(Row_ { seq: row.get(1), n: row.get(2), writer: row.get(3), events });
    }
    let query = "SELECT execution, request_id FROM inbox";
    for row in sqlx::query(query).fetch_all(&mut connection).await.expect("the inbox") {
        if let Some(execution) = all.get_mut(&row.get::<i64, _>(0)) {
            execution.inbox.push(row.get(1));
        }
    }
    all
}

/// One number that a query gives, -1 for NULL or nothing.
pub(crate) async fn number(path: &Path, query: &'static str) -> i64 {
    let mut connection = connect(path, true).await;
    let value = sqlx::query_scalar::<_, Option<i64>>(query).fetch_optional(&mut connection).await;
    value.expect("the query runs").flatten().unwrap_or(-1)
}

/// What SQLite thinks of the file.
pub(crate) async fn integrity(path: &Path) -> String {
    let mut connection = connect(path, true).await;
    sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.expect("it can be checked")
}

/// `{"timer_fired": {..}}` or, without fields, `"timer_fired"`.
fn kind_and_fields(event: serde_json::Value) -> (String, serde_json::Value) {
    match event {
        serde_json::Value::Object(fields) if fields.len() == 1 => {
            fields.into_iter().next().expect("one field")
        }
        serde_json::Value::String(kind) => (kind, serde_json::Value::Null),
        other => panic!("no event: {other}"),
    }
}
