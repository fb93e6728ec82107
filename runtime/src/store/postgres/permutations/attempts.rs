//! What ends attempts or keeps them alive.

use super::ops::{Op, Told};
use super::scene::{LOCAL, Scene};
use crate::store::failure::Kind;
use crate::store::postgres::beats::beat;
use crate::store::postgres::handed;
use crate::store::postgres::task::finish;
use crate::store::postgres::transaction;
use crate::store::{Beat, Beaten, HandOut, TaskKey, Trouble};
use sqlx::{PgConnection, Row};

pub(super) async fn attempt_of(
    op: Op,
    scene: &Scene,
    connection: &mut PgConnection,
) -> Result<Told, Trouble> {
    let shared = &*scene.shared;
    match op {
        Op::Complete => complete(scene, connection).await,
        Op::Beat => tell(scene, connection).await,
        Op::Finish => {
            let ended = finish(connection, shared, scene.other, scene.remote, "{}").await?;
            Ok(Told::of(ended.is_some()))
        }
        Op::HandOut => {
            let out = HandOut { key: scene.remote, end_in_ms: None, beat_in_ms: None, details: None };
            Ok(Told::of(handed::hand_out(connection, shared, scene.other, out).await?))
        }
        Op::CompleteByToken => {
            Ok(Told::of(handed::end(connection, shared, scene.remote, "{}").await?.is_some()))
        }
        other => panic!("{other:?} ends no attempt"),
    }
}

/// The end of a transactional attempt. A refusal rolls the user's rows back.
async fn complete(scene: &Scene, connection: &mut PgConnection) -> Result<Told, Trouble> {
    let row = sqlx::query(scene.shared.sql.of(transaction::COMPLETE))
        .bind(scene.owner.0)
        .bind(scene.owned.0)
        .bind(LOCAL.0 as i64)
        .bind(1_i32)
        .bind("{}")
        .fetch_one(connection)
        .await?;
    match (row.get::<i64, _>(0), row.get::<i64, _>(1)) {
        (0, _) => Ok(Told::Refused(Kind::Fenced)),
        (_, 0) => Ok(Told::Refused(Kind::Conflict)),
        _ => Ok(Told::Done),
    }
}

/// A heartbeat of the attempt that the owner runs.
async fn tell(scene: &Scene, connection: &mut PgConnection) -> Result<Told, Trouble> {
    let key = TaskKey { execution: scene.owned, activity: LOCAL, attempt: 1, nonce: 0 };
    let told = Beat { key, details: "7".to_owned(), at_ms: 1 };
    let answer = beat(connection, &scene.shared, scene.owner, &[told]).await?;
    Ok(Told::of(matches!(answer[0], Beaten::Kept { .. })))
}
