//! One order: it waits for an approval, at most three days, and is then booked, exactly once.

use abide::WorkerBuilder;
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, SqliteConnection};

/// The stream of an order's statuses.
pub const PROGRESS: &str = "progress";

/// What a customer sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewOrder {
    pub id: String,
    pub customer: String,
    pub cents: i64,
}

/// What a booked order returns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    pub order: String,
    pub number: i64,
    pub cents: i64,
}

/// The status of an order.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    AwaitingApproval,
    Booking,
    Booked,
}

/// Why an order was not booked. The client receives this type.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum OrderFailed {
    #[error("the order was rejected")]
    Rejected,
    #[error("nobody approved the order in time")]
    Unanswered,
    #[error("the order could not be booked: {0}")]
    NotBooked(#[from] ActivityError<Failure>),
}

#[derive(Default)]
pub struct Order {
    status: Status,
    approved: Option<bool>,
}

#[workflow]
impl Order {
    #[run]
    pub async fn run(&mut self, order: NewOrder) -> Result<Receipt, OrderFailed> {
        self.tell(Status::AwaitingApproval);
        let answer = workflow::until!(self.approved.is_some()).timeout(days(3)).await;
        answer.map_err(|_elapsed| OrderFailed::Unanswered)?;
        if self.approved == Some(false) {
            return Err(OrderFailed::Rejected);
        }
        self.tell(Status::Booking);
        let number = book(order.clone()).await?;
        self.tell(Status::Booked);
        Ok(Receipt { order: order.id, number, cents: order.cents })
    }

    /// The first answer counts. An answer that is sent again changes nothing.
    #[signal]
    pub fn approve(&mut self, approved: bool) {
        self.approved.get_or_insert(approved);
    }

    #[query]
    pub fn status(&self) -> Status {
        self.status
    }
}

impl Order {
    /// Sets the status, and publishes it for those who watch the order.
    fn tell(&mut self, status: Status) {
        self.status = status;
        workflow::publish(PROGRESS, &status).expect("a status can be encoded");
    }
}

/// The row and the result are committed together, so an order is booked once, whenever the process is killed.
#[activity(transactional, start_to_close = "10s")]
async fn book(tx: &mut SqliteConnection, order: NewOrder) -> Result<i64, Failure> {
    let insert = "INSERT INTO booking (order_id, customer, cents) VALUES ($1, $2, $3) RETURNING number";
    let insert = sqlx::query_scalar(insert).bind(order.id).bind(order.customer).bind(order.cents);
    Ok(insert.fetch_one(tx).await?)
}

/// Registers everything that a worker of orders needs.
pub fn steps(worker: WorkerBuilder) -> WorkerBuilder {
    worker.workflow(Order::run).activity(book)
}

/// Our own table, in abide's database. The table allows two rows for one order; abide prevents them.
pub async fn create_table(url: &str) -> sqlx::Result<()> {
    let mut connection = SqliteConnection::connect(url).await?;
    let table = "CREATE TABLE IF NOT EXISTS booking \
                 (number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, customer TEXT NOT NULL, cents INTEGER NOT NULL)";
    sqlx::query(table).execute(&mut connection).await?;
    connection.close().await
}
