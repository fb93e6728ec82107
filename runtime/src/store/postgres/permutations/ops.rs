//! The operations, each by the statements that production code sends, in a transaction that the test ends.

use super::attempts::attempt_of;
use super::claims::{claim_of, expire};
use super::family::{close_of_family, slice};
use super::guarded::{bear, close, signal_by_name, start_owned};
use super::scene::{LOCAL, NEXT, Scene, WAITING};
use crate::store::Trouble;
use crate::store::failure::Kind;
use crate::store::postgres::batch::{Batch, write_batch};
use crate::store::postgres::failure::kind;
use crate::store::postgres::stream::publish;
use crate::store::postgres::{control, lease, message, start};
use crate::store::{
    Append, AttemptChange, AttemptRow, MessageKind, NewItem, NewMessage, ResumeAnswer, RowChange, SendAnswer,
    StartAnswer, StoreError, TaskChange,
};
use abide_core::EventId;
use sqlx::{Executor, PgConnection};

/// An operation of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A turn of `owned`.
    Append,
    /// A turn that closes it.
    Close,
    /// A turn that hands it on to another run.
    Continue,
    /// Its owner ends it without code: it was told to terminate.
    Discard,
    /// A turn of it starts a child under a free id of the user's.
    Bear,
    /// Its owner lets it go, with nothing to wake it.
    Release,
    /// The lease of its owner is renewed.
    Renew,
    /// Its owner is fenced out.
    FenceOut,
    /// What its fenced-out owner had is set free.
    SetFree,
    /// The attempts that its fenced-out owner ran for others are lost.
    LoseTasks,
    /// Its owner leaves by itself.
    Leave,
    /// Unowned work is claimed.
    Claim,
    /// A signal to `owned`.
    Signal,
    /// A cancel request to it.
    Cancel,
    /// The first turn of another run sends a signal to it by name.
    SignalByName,
    /// A start of the workflow id of `free`, unowned, which is open.
    Start,
    /// An unowned start of a free workflow id.
    StartNew,
    /// The same, owned by its first append.
    StartOwned,
    /// A start of the workflow id of `owned`, owned by its first append, that no other run may have had.
    StartOnly,
    /// A start of that id with a signal, which goes to `owned` while that is open.
    Join,
    /// `owned` is terminated.
    Terminate,
    /// `suspended` is resumed.
    Resume,
    /// It is taken up by another build.
    Offer,
    /// A signal to it.
    SignalSuspended,
    /// A transactional attempt of it commits.
    Complete,
    /// Its owner times that attempt out, and replaces it with the next.
    Replace,
    /// Its owner gives that attempt up for good.
    Settle,
    /// A heartbeat of that attempt.
    Beat,
    /// An attempt of its owner's has failed, and another one follows: an append without events.
    Fail,
    /// Another worker claims tasks.
    ClaimTasks,
    /// It claims in a task queue where one may run at once.
    LimitedClaim,
    /// Another worker ends the one that it has.
    Finish,
    /// It leaves the end of that one to the holder of its token.
    HandOut,
    /// The one that it has is ended by its token.
    CompleteByToken,
    /// Those whose time has run out are ended.
    Expire,
    /// An attempt that its owner runs publishes into the stream into which a turn publishes.
    Publish,
    /// The first turn of `child` closes it, and `owned`, its parent, is told.
    CloseChild,
    /// A turn of `parent` closes it over its open child, `owned`.
    CloseParent,
    /// The children of `parent`, which has closed, are told; its mark goes if none is left.
    Slice,
    /// The first turn of the run that goes on for `owned` closes it. Triples only: there is no such run before.
    CloseNext,
    /// The end of `suspended` is claimed: its time is up.
    EndByTimeout,
    /// The same: it was told to terminate.
    EndByMessage,
}

pub(super) const OPS: [Op; 41] = [
    Op::Append,
    Op::Close,
    Op::Continue,
    Op::Discard,
    Op::Bear,
    Op::Release,
    Op::Renew,
    Op::FenceOut,
    Op::SetFree,
    Op::LoseTasks,
    Op::Leave,
    Op::Claim,
    Op::Signal,
    Op::Cancel,
    Op::SignalByName,
    Op::Start,
    Op::StartNew,
    Op::StartOwned,
    Op::StartOnly,
    Op::Join,
    Op::Terminate,
    Op::Resume,
    Op::Offer,
    Op::SignalSuspended,
    Op::Complete,
    Op::Replace,
    Op::Settle,
    Op::Beat,
    Op::Fail,
    Op::ClaimTasks,
    Op::LimitedClaim,
    Op::Finish,
    Op::HandOut,
    Op::CompleteByToken,
    Op::Expire,
    Op::Publish,
    Op::CloseChild,
    Op::CloseParent,
    Op::Slice,
    Op::EndByTimeout,
    Op::EndByMessage,
];

/// What an operation was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It did what it was asked.
    Done,
    /// There was nothing to do for it (any more).
    Nothing,
    /// It was refused, and nothing of it may stay.
    Refused(Kind),
    /// Its session was lost.
    Broken,
}

impl Told {
    pub(super) fn of(did: bool) -> Self {
        if did { Self::Done } else { Self::Nothing }
    }
}

impl Op {
    /// Begins a transaction and does it. `side` tells the two sides of a pair apart.
    pub(super) async fn perform(self, scene: &Scene, connection: &mut PgConnection, side: usize) -> Told {
        // Those with a guard begin their own, together with its locks.
        let guarded = [
            Self::Close,
            Self::Continue,
            Self::Discard,
            Self::Bear,
            Self::StartOwned,
            Self::StartOnly,
            Self::SignalByName,
            Self::CloseChild,
            Self::CloseParent,
            Self::CloseNext,
        ];
        if !guarded.contains(&self) {
            connection.execute(sqlx::raw_sql("BEGIN")).await.unwrap();
        }
        match self.run(scene, connection, side).await {
            Ok(told) => told,
            Err(Trouble::Refused(StoreError::Fenced)) => Told::Refused(Kind::Fenced),
            Err(Trouble::Refused(error)) => panic!("{self:?}: {error}"),
            Err(Trouble::Sql(error)) => match kind(&error) {
                Kind::Broken => Told::Broken,
                kind @ (Kind::Fenced | Kind::Lost | Kind::Conflict | Kind::Duplicate | Kind::Busy) => {
                    Told::Refused(kind)
                }
                kind => panic!("{self:?}: {kind:?}: {error}"),
            },
        }
    }

    async fn run(self, scene: &Scene, connection: &mut PgConnection, side: usize) -> Result<Told, Trouble> {
        let shared = &*scene.shared;
        match self {
            Self::Append | Self::Release | Self::Replace | Self::Settle | Self::Fail => {
                self.append(scene, connection, side).await
            }
            Self::Close | Self::Continue | Self::Discard => close(self, scene, connection, side).await,
            Self::Bear => bear(scene, connection, side).await,
            Self::StartOwned | Self::StartOnly => start_owned(self, scene, connection, side).await,
            Self::SignalByName => signal_by_name(scene, connection, side).await,
            Self::Renew => {
                let renew = sqlx::query(shared.sql.of(control::RENEW)).bind(scene.owner.0).bind(12_000_i64);
                Ok(Told::of(renew.execute(connection).await?.rows_affected() > 0))
            }
            Self::FenceOut => Ok(Told::of(lease::fence_out(connection, shared, scene.owner, false).await?)),
            Self::SetFree => {
                let now = shared.clock.now_ms();
                Ok(Told::of(lease::set_free(connection, shared, scene.owner, now).await? > 0))
            }
            Self::LoseTasks => lease::lose_tasks(connection, shared, scene.owner).await.map(|()| Told::Done),
            Self::Leave => lease::leave(connection, shared, scene.owner).await.map(|()| Told::Done),
            Self::Signal | Self::SignalSuspended => {
                self.send(scene, connection, MessageKind::Signal, side).await
            }
            Self::Cancel => self.send(scene, connection, MessageKind::Cancel, side).await,
            Self::Start | Self::StartNew => {
                let of = if self == Self::Start { "free" } else { "new" };
                let new = scene.start(fresh(scene, side), of);
                let (answer, _) = start::start(connection, shared, &new).await?;
                Ok(Told::of(matches!(answer, StartAnswer::Started)))
            }
            Self::Join => {
                let (answer, _) =
                    start::start(connection, shared, &scene.join(fresh(scene, side), side)).await?;
                Ok(Told::of(matches!(answer, StartAnswer::Existing(_))))
            }
            Self::Terminate => {
                let (event, now) = (r#"{"terminated":{"reason":"enough"}}"#, shared.clock.now_ms());
                let request = format!("terminate-{side}");
                let (answer, _) =
                    start::terminate(connection, shared, scene.owned, &request, event, now).await?;
                Ok(Told::of(answer == SendAnswer::Sent))
            }
            Self::Resume => {
                let now = shared.clock.now_ms();
                let (answer, _) = start::resume(connection, shared, scene.suspended, now).await?;
                Ok(Told::of(answer == ResumeAnswer::Resumed))
            }
            Self::CloseChild | Self::CloseParent | Self::CloseNext => {
                close_of_family(self, scene, connection).await
            }
            Self::Slice => slice(scene, connection).await,
            Self::Claim
            | Self::Offer
            | Self::ClaimTasks
            | Self::LimitedClaim
            | Self::EndByTimeout
            | Self::EndByMessage => claim_of(self, scene, connection, side).await,
            Self::Complete | Self::Beat | Self::Finish | Self::HandOut | Self::CompleteByToken => {
                attempt_of(self, scene, connection).await
            }
            Self::Expire => expire(scene, connection).await,
            Self::Publish => {
                let items = [item(Some(1))];
                Ok(Told::of(publish(connection, shared, scene.owner, scene.owned, &items).await?))
            }
        }
    }

    /// What goes through a writer, in one statement.
    async fn append(
        self,
        scene: &Scene,
        connection: &mut PgConnection,
        side: usize,
    ) -> Result<Told, Trouble> {
        let append = match self {
            Self::Append => {
                Append { published: vec![item(None)], ..scene.turn(scene.owned, NEXT, 1 + side as u32) }
            }
            Self::Release => Append {
                row: Some(RowChange { release: true, wake_at_ms: Some(None), ..RowChange::default() }),
                rev: Some(0),
                ..Append::bare(scene.owner, scene.owned, 1)
            },
            Self::Replace => Append {
                tasks: vec![TaskChange::Replace { of: 1, with: scene.task(LOCAL, 2, None) }],
                ..scene.turn(scene.owned, NEXT, 1)
            },
            Self::Settle => Append {
                tasks: vec![TaskChange::Settle { activity: LOCAL, attempt: 1 }],
                ..scene.turn(scene.owned, NEXT, 1)
            },
            _ => Append {
                row: Some(RowChange::default()),
                rev: Some(0),
                attempts: vec![AttemptChange::Keep(failed_attempt())],
                ..Append::bare(scene.owner, scene.owned, 1)
            },
        };
        let batch = Batch::of([&append].into_iter());
        write_batch(connection, &scene.shared, batch, 0).await?;
        Ok(Told::Done)
    }

    async fn send(
        self,
        scene: &Scene,
        connection: &mut PgConnection,
        kind: MessageKind,
        side: usize,
    ) -> Result<Told, Trouble> {
        let message = NewMessage {
            execution: if self == Self::SignalSuspended { scene.suspended } else { scene.owned },
            kind,
            request_id: format!("message-{side}"),
            body: "{}".to_owned(),
            at_ms: 1,
        };
        let (answer, _) = message::send(connection, &scene.shared, &message).await?;
        Ok(Told::of(answer == SendAnswer::Sent))
    }
}

/// What a turn or an attempt publishes.
fn item(attempt: Option<u32>) -> NewItem {
    NewItem { stream: "s".to_owned(), at_ms: 1, attempt, body: "1".to_owned() }
}

fn failed_attempt() -> AttemptRow {
    AttemptRow { activity: EventId(9), attempt: 1, next_at_ms: 1, failure: "{}".to_owned() }
}

/// An id for what this side starts, the same at each call.
pub(super) fn fresh(scene: &Scene, side: usize) -> abide_core::ExecutionId {
    abide_core::ExecutionId(scene.owned.0 + (1 << 39) + side as i64)
}

/// The task that has not begun.
pub(super) const UNBEGUN: i64 = WAITING.0 as i64;
