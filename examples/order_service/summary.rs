//! How the orders ended, and whether that agrees with the bank's own books.

use crate::Result;
use crate::ledger::Books;
use crate::orders::Order;
use crate::workflow::{OrderFailed, OrderWorkflow};
use abide::prelude::*;
use std::fmt;

/// How one order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Shipped and paid for.
    Completed { cents: i64 },
    /// It failed before any money moved.
    Rejected,
    /// It failed after the charge, and the charge was refunded.
    Compensated,
    /// The customer cancelled it, and the charge was refunded.
    Cancelled,
}

impl Ending {
    /// Waits until the order ends.
    pub async fn of(handle: &Handle<OrderWorkflow>, order: &Order) -> Result<Self> {
        match handle.result().await {
            Ok(shipment) => Ok(Self::Completed { cents: shipment.paid_cents }),
            Err(WorkflowError::Failed(OrderFailed::Delivery(_))) => Ok(Self::Compensated),
            Err(WorkflowError::Failed(_)) => Ok(Self::Rejected),
            Err(WorkflowError::Cancelled) => Ok(Self::Cancelled),
            // Suspended, terminated, or a refund failed: an operator should look at it.
            Err(other) => Err(format!("{} did not end as orders do: {other}", order.id).into()),
        }
    }
}

/// The numbers of the last line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    orders: usize,
    completed: usize,
    rejected: usize,
    compensated: usize,
    cancelled: usize,
    /// The total of the completed orders, from their own results.
    completed_cents: i64,
    books: Books,
}

impl Summary {
    pub fn new(endings: &[Ending], books: Books) -> Self {
        let mut summary = Self { orders: endings.len(), books, ..Self::default() };
        for ending in endings {
            match ending {
                Ending::Completed { cents } => {
                    summary.completed += 1;
                    summary.completed_cents += cents;
                }
                Ending::Rejected => summary.rejected += 1,
                Ending::Compensated => summary.compensated += 1,
                Ending::Cancelled => summary.cancelled += 1,
            }
        }
        summary
    }

    /// How many calls the providers saw more than once, because a kill or a lost answer came between effect
    /// and record.
    pub fn repeated(&self) -> usize {
        self.books.repeated
    }

    /// Compares the workflows' results with the bank's books. A lost or repeated charge or refund shows here.
    pub fn check(&self) -> Result<()> {
        let Self { completed, compensated, cancelled, completed_cents, books, .. } = self;
        let equal = [
            (
                "completed + compensated + cancelled",
                completed + compensated + cancelled,
                "charges",
                books.charges,
            ),
            ("compensated + cancelled", compensated + cancelled, "refunds", books.refunds),
        ];
        for (left, a, right, b) in equal {
            if a != b {
                return Err(format!("the books do not add up: {left} = {a}, but {right} = {b}").into());
            }
        }
        if *completed_cents != books.net_cents() {
            let net = books.net_cents();
            return Err(
                format!("the books do not add up: orders of {completed_cents} cents, net {net}").into()
            );
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, completed, rejected, compensated, cancelled, books, .. } = self;
        let Books { charges, refunds, .. } = books;
        write!(f, "summary: orders={orders} completed={completed} rejected={rejected} ")?;
        write!(f, "compensated={compensated} cancelled={cancelled} ")?;
        write!(f, "charges={charges} refunds={refunds} net_cents={}", books.net_cents())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(charges: usize, refunds: usize, charged_cents: i64) -> Books {
        Books { charges, refunds, charged_cents, refunded_cents: 50, repeated: 3 }
    }

    #[test]
    fn lost_and_doubled_payments_do_not_pass() {
        let endings = [Ending::Completed { cents: 70 }, Ending::Rejected, Ending::Compensated];
        let good = Summary::new(&endings, books(2, 1, 120));
        good.check().unwrap();
        assert_eq!(
            good.to_string(),
            "summary: orders=3 completed=1 rejected=1 compensated=1 cancelled=0 charges=2 refunds=1 net_cents=70"
        );
        for wrong in [books(1, 1, 120), books(3, 1, 120), books(2, 0, 120), books(2, 1, 121)] {
            Summary::new(&endings, wrong).check().unwrap_err();
        }
    }
}
