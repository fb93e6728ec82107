use abide::prelude::*;

#[workflow]
async fn pay() {}

async fn outbox(client: Client, mut pool: sqlx::SqlitePool) -> abide::Result<()> {
    client.start(pay()).within(&mut pool).await?;
    let mut tx = pool.begin().await.unwrap();
    client.start(pay()).within(&mut tx).await?;
    client.start(pay()).within(&mut *tx).await?;
    Ok(())
}

fn main() {}
