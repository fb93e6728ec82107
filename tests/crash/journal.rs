//! The database as another program reads it: by SQL, not through the engine.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where the tables are.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// An URL; the schema is `abide`.
    Postgres(String),
}

/// One execution with its history.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
    /// 0 running, 1 suspended, 10 completed, 11 failed, ..
    pub(crate) status: i64,
    pub(crate) owner: Option<i64>,
    /// The run that goes on after this one.
    pub(crate) next: Option<i64>,
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

/// A connection beside the engine's, by which tests read and disturb. Every value comes as text: the same on both
/// databases.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// The rows of an answer.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

impl Connection {
    /// What a query, or the last of several, gives.
    pub(crate) async fn rows(&mut self, query: &str) -> sqlx::Result<Rows> {
        let query = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        match self {
            Self::Sqlite(connection) => connection.fetch_all(query).await?.iter().map(texts).collect(),
            Self::Postgres(connection) => connection.fetch_all(query).await?.iter().map(texts).collect(),
        }
    }

    /// Does it.
    pub(crate) async fn run(&mut self, statement: &str) {
        self.rows(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

fn texts<R: Row>(row: &R) -> sqlx::Result<Vec<Option<String>>>
where
    usize: sqlx::ColumnIndex<R>,
    for<'r> Option<String>: sqlx::Decode<'r, R::Database>,
{
    (0..row.len()).map(|column| row.try_get_unchecked(column)).collect()
}

/// Opens it for writing.
pub(crate) async fn connect(database: &Database) -> Connection {
    try_connect(database, false).await.expect("the database can be reached")
}

/// Opens it for a look that leaves no trace.
async fn look(database: &Database) -> Connection {
    try_connect(database, true).await.expect("the database can be reached")
}

pub(crate) async fn try_connect(database: &Database, read_only: bool) -> sqlx::Result<Connection> {
    match database {
        Database::Sqlite(path) => {
            let options = SqliteConnectOptions::new().filename(path).read_only(read_only);
            options.busy_timeout(Duration::from_secs(60)).connect().await.map(Connection::Sqlite)
        }
        Database::Postgres(url) => {
            let options: PgConnectOptions = url.parse()?;
            let options = options.application_name("a stranger").options([("search_path", "abide,public")]);
            options.connect().await.map(Connection::Postgres)
        }
    }
}

fn value(row: &[Option<String>], column: usize) -> &str {
    row[column].as_deref().expect("it is not NULL")
}

fn integer(row: &[Option<String>], column: usize) -> i64 {
    value(row, column).parse().expect("it is a number")
}

/// Every execution by its id, in one view: a transaction that only reads.
pub(crate) async fn read(database: &Database) -> BTreeMap<i64, Execution> {
    let mut connection = look(database).await;
    let view = match database {
        Database::Sqlite(_) => "BEGIN",
        Database::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    connection.run(view).await;
    let mut all = BTreeMap::new();
    let query = "SELECT id, workflow_id, run_id, status, owner, result, suspension, next FROM execution";
    for row in connection.rows(query).await.expect("executions") {
        let json = |column: usize| {
            row[column].as_deref().map(|text| serde_json::from_str(text).expect("it is JSON"))
        };
        let execution = Execution {
            workflow_id: value(&row, 1).to_owned(),
            run_id: value(&row, 2).to_owned(),
            status: integer(&row, 3),
            owner: row[4].is_some().then(|| integer(&row, 4)),
            next: row[7].is_some().then(|| integer(&row, 7)),
            result: json(5),
            suspension: json(6),
            rows: Vec::new(),
            inbox: Vec::new(),
        };
        all.insert(integer(&row, 0), execution);
    }
    let query = "SELECT execution, seq, n, writer, body FROM journal ORDER BY execution, seq";
    for row in connection.rows(query).await.expect("the journal") {
        let events: Vec<serde_json::Value> =
            serde_json::from_str(value(&row, 4)).expect("a row is a JSON array");
        let events = events.into_iter().map(kind_and_fields).collect();
        let execution = all.get_mut(&integer(&row, 0)).expect("a journal row belongs to an execution");
        let (seq, n, writer) = (integer(&row, 1), integer(&row, 2), integer(&row, 3));
        execution.rows.push(Row_ { seq, n, writer, events });
    }
    for row in connection.rows("SELECT execution, request_id FROM inbox").await.expect("the inbox") {
        if let Some(execution) = all.get_mut(&integer(&row, 0)) {
            execution.inbox.push(value(&row, 1).to_owned());
        }
    }
    all
}

/// One number that a query gives, -1 for NULL or nothing.
pub(crate) async fn number(database: &Database, query: &str) -> i64 {
    let rows = look(database).await.rows(query).await.expect("the query runs");
    rows.first().and_then(|row| row[0].as_deref()).map_or(-1, |text| text.parse().expect("it is a number"))
}

/// The same where the server may be away just now: `None`.
#[allow(dead_code, reason = "a file does not go away")]
pub(crate) async fn number_if_there(database: &Database, query: &str) -> Option<i64> {
    let rows = try_connect(database, true).await.ok()?.rows(query).await.ok()?;
    rows.first()?[0].as_deref()?.parse().ok()
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
