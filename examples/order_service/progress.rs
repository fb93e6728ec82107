//! The progress display: a bar on a terminal, otherwise a line every two seconds.

use crate::workflow::{OrderWorkflow, Status};
use abide::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const BAR_CELLS: usize = 20;
/// A longer line would wrap, and the next one could not overwrite it.
const TERMINAL_COLUMNS: usize = 79;

/// The orders in progress, and how many have ended.
#[derive(Clone)]
pub struct Board {
    orders: usize,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    ended: usize,
    shown: BTreeMap<String, Handle<OrderWorkflow>>,
}

/// An order on the board. It is removed when this is dropped.
pub struct Shown {
    board: Board,
    id: String,
}

impl Board {
    pub fn new(orders: usize) -> Self {
        Self { orders, inner: Arc::default() }
    }

    /// Puts an order on the board.
    pub fn show(&self, order: Handle<OrderWorkflow>) -> Shown {
        let id = order.id().to_string();
        self.with(|inner| inner.shown.insert(id.clone(), order));
        Shown { board: self.clone(), id }
    }

    /// Draws until it is dropped.
    pub async fn draw(&self) -> Infallible {
        let terminal = stdout().is_terminal();
        let pause = Duration::from_millis(if terminal { 200 } else { 2_000 });
        loop {
            tokio::time::sleep(pause).await;
            let line = self.line().await;
            if terminal {
                print!("\r\x1b[2K{line:.TERMINAL_COLUMNS$}");
            } else {
                println!("{line}");
            }
            // The output may have no reader. That is no reason to stop selling.
            let _ = stdout().flush();
        }
    }

    /// Clears the bar, so that the next output starts on a clean line.
    pub fn clear(&self) {
        if stdout().is_terminal() {
            print!("\r\x1b[2K");
        }
    }

    async fn line(&self) -> String {
        let (ended, handles) = self.with(|i| (i.ended, i.shown.values().cloned().collect::<Vec<_>>()));
        let mut standing: BTreeMap<Status, usize> = BTreeMap::new();
        for handle in handles {
            // A query may fail because the order ends at this moment. The next line will be right.
            if let Ok(status) = handle.status().await {
                *standing.entry(status).or_default() += 1;
            }
        }
        let cells = ended * BAR_CELLS / self.orders.max(1);
        let standing: Vec<_> = standing.iter().map(|(status, count)| format!("{count} {status}")).collect();
        format!(
            "[{}{}] {ended}/{}  {}",
            "#".repeat(cells),
            ".".repeat(BAR_CELLS - cells),
            self.orders,
            standing.join(", ")
        )
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.board.with(|inner| {
            inner.shown.remove(&self.id);
            inner.ended += 1;
        });
    }
}
