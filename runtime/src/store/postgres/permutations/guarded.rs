//! Operations that go by the guard and the batch, as the writer sends them.

use super::ops::{Op, Told, fresh};
use super::scene::{NEXT, Scene};
use crate::policy::IdReusePolicy;
use crate::status::ExecutionStatus;
use crate::store::Trouble;
use crate::store::failure::Kind;
use crate::store::postgres::batch::{Batch, write_batch};
use crate::store::postgres::guard;
use crate::store::{Address, Append, Close, CloseKind, Dispatch, MessageKind, NewChild, NewExecution};
use abide_core::EventId;
use sqlx::PgConnection;

/// A closing turn, by the guard and the batch, as the writer does it.
pub(super) async fn close(
    op: Op,
    scene: &Scene,
    connection: &mut PgConnection,
    side: usize,
) -> Result<Told, Trouble> {
    let result = r#"{"completed":{"result":7}}"#.to_owned();
    let (kind, status, successor) = match op {
        Op::Continue => {
            let next = Box::new(scene.successor(fresh(scene, side)));
            (CloseKind::HandedOn, ExecutionStatus::ContinuedAsNew, Some(next))
        }
        Op::Discard => (CloseKind::Discarded, ExecutionStatus::Terminated, None),
        _ => (CloseKind::Drained, ExecutionStatus::Completed, None),
    };
    let close = Some(Close { kind, status, result });
    // A run that goes on has not ended.
    let report = successor.is_none().then(result_of_child);
    let append = Append { close, successor, report, orphans: true, ..scene.turn(scene.owned, NEXT, 1) };
    write_close(scene, connection, &append).await
}

/// The end of a run as its parent is told.
pub(super) fn result_of_child() -> String {
    r#"{"completed":{"result":7}}"#.to_owned()
}

/// A close that begins with its locks.
pub(super) async fn write_close(
    scene: &Scene,
    connection: &mut PgConnection,
    append: &Append,
) -> Result<Told, Trouble> {
    let locks = guard::locks(&scene.shared, [append].into_iter()).expect("a close locks its row");
    let guarded = guard::take(&locks, true, connection, &scene.shared).await?;
    if guarded.out.conflicts.contains(&append.execution) {
        return Ok(Told::Refused(Kind::Conflict));
    }
    if guarded.out.locked.contains(&append.execution) {
        return Ok(Told::Refused(Kind::Busy));
    }
    write_batch(connection, &scene.shared, Batch::of([append].into_iter()), 0).await?;
    Ok(Told::Done)
}

/// A start under an id of the user's, by the guard and the batch, as the writer does it: what stays out of the batch is
/// decided alone. `StartOnly`: with a policy that looks at closed runs.
pub(super) async fn start_owned(
    op: Op,
    scene: &Scene,
    connection: &mut PgConnection,
    side: usize,
) -> Result<Told, Trouble> {
    let (of, reuse) = match op {
        Op::StartOnly => ("owned", IdReusePolicy::RejectDuplicate),
        _ => ("new", IdReusePolicy::default()),
    };
    let new = NewExecution { reuse, ..scene.start(fresh(scene, side), of) };
    let id = new.id;
    let append = Append { owner: scene.other, births: vec![new], ..scene.turn(id, 1, 1) };
    let locks = guard::locks(&scene.shared, [&append].into_iter()).expect("an id of the user's is locked");
    if guard::take(&locks, true, connection, &scene.shared).await?.out.locked.contains(&id) {
        return Ok(Told::Refused(Kind::Busy));
    }
    let born = write_batch(connection, &scene.shared, Batch::of([&append].into_iter()), 0).await?.born;
    Ok(Told::of(!born.is_empty()))
}

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

/// A turn of `owned` starts a child under an id of the user's, which is free unless the other side takes it. `Nothing`:
/// the parent is answered that it is taken.
pub(super) async fn bear(scene: &Scene, connection: &mut PgConnection, side: usize) -> Result<Told, Trouble> {
    let new = scene.start(fresh(scene, side), "new");
    let child = NewChild {
        id: new.id,
        name: Some(Address::Name(new.workflow_id.clone())),
        workflow_id: new.workflow_id,
        run_id: new.run_id,
        workflow_type: new.workflow_type,
        // Not that of the scene's claims, which look for other runs.
        queue: scene.queue("children"),
        owner: None,
        input: new.input,
        context: "{}".to_owned(),
        parent: scene.owned,
        child_no: EventId(NEXT),
        close_policy: 2,
        close_by: None,
        chain_by: None,
        created_at: new.created_at_ms,
        starts: false,
    };
    let append = Append { children: vec![child], ..scene.turn(scene.owned, NEXT, 1) };
    let locks = guard::locks(&scene.shared, [&append].into_iter()).expect("an id of the user's is locked");
    let mut guarded = guard::take(&locks, true, connection, &scene.shared).await?;
    let admitted = guarded.admit([&append], locks.closes());
    let [append] = admitted.as_slice() else { return Ok(Told::Refused(Kind::Busy)) };
    write_batch(connection, &scene.shared, Batch::of(std::iter::once(&**append)), 0).await?;
    Ok(Told::of(!append.children.is_empty()))
}
