//! Messages by name, as an operation of the permutations.

use super::ops::{Told, fresh};
use super::scene::Scene;
use crate::store::Trouble;
use crate::store::failure::Kind;
use crate::store::postgres::batch::{Batch, write_batch};
use crate::store::postgres::guard;
use crate::store::{Address, Append, Dispatch, MessageKind};
use abide_core::EventId;
use sqlx::PgConnection;

/// A signal to `owned` by its name, by the guard and the batch, as the writer does it. `Nothing`: the sender is
/// answered that no such run is open.
pub(super) async fn signal_by_name(
    scene: &Scene,
    connection: &mut PgConnection,
    side: usize,
) -> Result<Told, Trouble> {
    let new = scene.start(fresh(scene, side), &format!("sender-{side}"));
    let (kind, body, to) = (MessageKind::Signal, "{}".to_owned(), Address::Name(scene.queue("owned")));
    let dispatch = Dispatch { command: EventId(2), to, kind, body, answered: true };
    let (owner, id) = (scene.other, new.id);
    let append = Append { owner, births: vec![new], dispatches: vec![dispatch], ..scene.turn(id, 1, 2) };
    let locks = guard::locks(&scene.shared, [&append].into_iter()).expect("it looks for its receiver");
    let mut guarded = guard::take(&locks, true, connection, &scene.shared).await?;
    let admitted = guarded.admit([&append], locks.closes());
    let [append] = admitted.as_slice() else { return Ok(Told::Refused(Kind::Busy)) };
    write_batch(connection, &scene.shared, Batch::of(std::iter::once(&**append)), 0).await?;
    Ok(Told::of(append.sent().any(|message| message.kind == kind)))
}
