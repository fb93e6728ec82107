//! What cannot be completed later.

use abide::prelude::*;

#[activity(transactional, complete_later)]
async fn debit(tx: &mut sqlx::SqliteConnection) -> Result<(), Failure> {
    drop(tx);
    Ok(())
}

#[activity(complete_later)]
fn blocks() -> u32 {
    1
}

#[activity(complete_later = true)]
async fn in_another_form() {}

#[activity(complete_latr)]
async fn misspelt() {}

fn main() {}
