//! What must hold after any pair, in any order, whatever each operation was told.

use super::claims::{claim_ends, claim_work};
use super::ops::{Op, Told, UNBEGUN};
use super::scene::{LOCAL, NEXT, REMOTE, Scene};
use super::{Ended, Way, family};
use crate::store::failure::Kind;
use sqlx::Executor;

/// The rows of a scene at the end.
struct Left {
    status: i64,
    owner: Option<i64>,
    inbox: Vec<(i16, String)>,
    /// Attempts by their activity.
    tasks: Vec<(i64, i32)>,
    /// Failed attempts that are kept.
    failed: i64,
}

pub(super) async fn check(scene: &Scene, way: Way, ended: [Ended; 2]) {
    let left = Left::read(scene).await;
    let what = format!("{way:?}: {ended:?}, status {}, owner {:?}", left.status, left.owner);
    let done = |op: Op| ended.iter().any(|e| e.op == op && e.committed);
    the_journal_joins_up(scene, &what).await;
    let claimed = claim_work(scene, &mut *scene.connect().await, scene.third).await.unwrap();
    no_message_is_lost(scene, &left, &ended, &claimed, &what);
    one_decision_for_each_attempt(&left, &ended, &what);
    a_heartbeat_reaches_the_next_attempt(scene, &left, &ended, &what).await;
    nobody_writes_after_the_fence(scene, &ended, &what).await;
    its_id_has_one_chain(scene, &what).await;
    claims_are_exclusive(scene, &ended, &claimed, &what);
    no_more_run_than_may(scene, &ended, left.status, &what).await;
    only_what_stands_has_parked_messages(scene, &ended, &what).await;
    what_was_published_is_numbered(scene, &ended, &what).await;
    if ended.iter().any(|e| e.op == Op::Bear && e.committed && e.told == Told::Done) {
        let born = "SELECT count(*) FROM {s}.execution WHERE parent = $1 AND child_no = $2 AND status = 0";
        assert_eq!(
            scene.number(born, &[scene.owned.0, NEXT.cast_signed()]).await,
            1,
            "{what}: the child is there"
        );
    }
    if done(Op::Continue) {
        let next = "SELECT count(*) FROM {s}.execution e JOIN {s}.execution n ON n.id = e.next
            WHERE e.id = $1 AND e.status = 14 AND n.status = 0 AND n.chain = e.id";
        assert_eq!(scene.number(next, &[scene.owned.0]).await, 1, "{what}: another run goes on");
    }
    if [Op::Close, Op::Continue, Op::Discard, Op::Terminate].into_iter().any(done) {
        assert!(left.tasks.is_empty() && left.failed == 0, "{what}: a closed execution leaves no attempts");
        assert!(left.status >= 10, "{what}: what closed is closed");
    }
    if ended.iter().all(|e| matches!(e.told, Told::Refused(Kind::Busy))) {
        panic!("{what}: both gave way to each other");
    }
    alone_it_works(way, &ended, &what);
    ends_are_claimed_once(scene, &ended, &what).await;
    family::check(scene, &what).await;
    if ended.iter().any(|e| matches!(e.op, Op::CloseParent | Op::Slice)) {
        family::settle(scene, &what).await;
    }
}

impl Left {
    async fn read(scene: &Scene) -> Self {
        let mut connection = scene.connect().await;
        // One snapshot, since another scene's expiry may end a task of this one at any moment.
        connection.execute(sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")).await.unwrap();
        let sql = &scene.shared.sql;
        let row: (i16, Option<i64>) =
            sqlx::query_as(sql.of("SELECT status, owner FROM {s}.execution WHERE id = $1"))
                .bind(scene.owned.0)
                .fetch_one(&mut *connection)
                .await
                .unwrap();
        // What it had not taken in is with the run that goes on for it.
        let inbox = sqlx::query_as(sql.of("SELECT kind, request_id FROM {s}.inbox WHERE execution = $1
            OR execution = (SELECT next FROM {s}.execution WHERE id = $1)"));
        let inbox = inbox.bind(scene.owned.0).fetch_all(&mut *connection).await.unwrap();
        let tasks = sqlx::query_as(sql.of("SELECT activity, attempt FROM {s}.task WHERE execution = $1"));
        let tasks = tasks.bind(scene.owned.0).fetch_all(&mut *connection).await.unwrap();
        let failed = sqlx::query_scalar(sql.of("SELECT count(*) FROM {s}.attempt WHERE execution = $1"));
        let failed = failed.bind(scene.owned.0).fetch_one(&mut *connection).await.unwrap();
        connection.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
        Self { status: i64::from(row.0), owner: row.1, inbox, tasks, failed }
    }

    fn attempt(&self, activity: abide_core::EventId) -> Option<i32> {
        self.tasks.iter().find(|(id, _)| *id == activity.0 as i64).map(|(_, attempt)| *attempt)
    }

    fn told(&self, activity: i64) -> bool {
        self.inbox.iter().any(|(kind, id)| *kind == 4 && *id == format!("attempt/{activity}/1"))
    }
}

async fn the_journal_joins_up(scene: &Scene, what: &str) {
    let gaps = "SELECT count(*) FROM (SELECT seq, lag(seq + n, 1, 1::bigint) OVER (ORDER BY seq) AS due
        FROM {s}.journal WHERE execution = $1) j WHERE seq <> due";
    assert_eq!(scene.number(gaps, &[scene.owned.0]).await, 0, "{what}: the journal has a gap");
}

/// An acknowledged message is in the inbox, unless its run was terminated; and an unowned run is claimed for it.
fn no_message_is_lost(scene: &Scene, left: &Left, ended: &[Ended; 2], claimed: &[i64], what: &str) {
    let sends = |op| matches!(op, Op::Signal | Op::Cancel | Op::SignalByName | Op::Join | Op::Slice);
    let sent: Vec<_> = ended.iter().filter(|e| sends(e.op) && e.committed).collect();
    if sent.is_empty() {
        return;
    }
    assert_ne!(left.status, 10, "{what}: it closed over an acknowledged message");
    let goes_on = left.status == 14;
    if left.status >= 10 && !goes_on {
        return;
    }
    let kept = left.inbox.iter().filter(|(_, id)| id.starts_with("message-") || id.starts_with("abide/"));
    let kept = kept.count();
    assert_eq!(kept, sent.len(), "{what}: an acknowledged message is lost");
    if left.owner.is_none() && !goes_on {
        assert!(claimed.contains(&scene.owned.0), "{what}: no worker will ever read the message");
    }
}

fn one_decision_for_each_attempt(left: &Left, ended: &[Ended; 2], what: &str) {
    let done = |op: Op| ended.iter().filter(|e| e.op == op && e.committed).count();
    // Either the user's rows were committed, or the owner has decided; never both, never twice.
    let decisions = done(Op::Complete) + done(Op::Replace) + done(Op::Settle);
    assert!(decisions <= 1, "{what}: an attempt was decided {decisions} times");
    if left.status < 10 {
        let expected = match (done(Op::Replace), decisions) {
            (1, _) => Some(2),
            (_, 1) => None,
            _ => Some(1),
        };
        assert_eq!(left.failed, done(Op::Fail) as i64, "{what}: the failed attempt is kept, once");
        assert_eq!(left.attempt(LOCAL), expected, "{what}: the token of the transactional attempt");
        assert_eq!(left.told(LOCAL.0 as i64), done(Op::Complete) == 1, "{what}: the outcome is in the inbox");
        let finished = done(Op::Finish) + done(Op::CompleteByToken) == 1;
        assert_eq!(left.attempt(REMOTE).is_none(), finished, "{what}: the remote attempt");
        assert_eq!(left.told(REMOTE.0 as i64), finished, "{what}: the remote outcome");
    }
    assert!(done(Op::Finish) + done(Op::CompleteByToken) <= 1, "{what}: an attempt ended twice");
    // Claimed, or given up for lack of a worker.
    let unbegun = left.tasks.iter().any(|(id, _)| *id == UNBEGUN);
    if left.status < 10 {
        assert_ne!(unbegun, left.told(UNBEGUN), "{what}: a task is either there or ended");
    }
}

/// What is kept of an attempt is there after it was replaced, whichever of the two came first (PROTOCOL 75).
async fn a_heartbeat_reaches_the_next_attempt(scene: &Scene, left: &Left, ended: &[Ended; 2], what: &str) {
    let beats = ended.iter().filter(|e| e.op == Op::Beat && e.committed && e.told == Told::Done).count();
    if left.attempt(LOCAL).is_some() {
        let told = "SELECT count(*) FROM {s}.task WHERE execution = $1 AND activity = $2 AND details = '7'";
        let told = scene.number(told, &[scene.owned.0, LOCAL.0 as i64]).await;
        assert_eq!(told, i64::from(beats > 0), "{what}: the details of a heartbeat");
    }
}

/// After the delete of a lease has committed, its owner writes nothing.
async fn nobody_writes_after_the_fence(scene: &Scene, ended: &[Ended; 2], what: &str) {
    let fence = ended.iter().find(|e| matches!(e.op, Op::FenceOut | Op::Leave) && e.committed);
    let before = |op: &Ended| fence.is_some_and(|fence| fence.place < op.place);
    let gone = ended.iter().any(|e| matches!(e.op, Op::SetFree | Op::LoseTasks));
    for op in ended {
        let by_owner = matches!(
            op.op,
            Op::Append
                | Op::Close
                | Op::Continue
                | Op::Discard
                | Op::Bear
                | Op::Release
                | Op::Replace
                | Op::Settle
                | Op::Fail
                | Op::Complete
                | Op::Beat
                | Op::Renew
                | Op::Publish
                | Op::CloseChild
                | Op::CloseParent
        );
        if by_owner && (gone || before(op)) {
            assert!(!op.committed, "{what}: a zombie wrote");
        }
    }
    if gone || fence.is_some() {
        let leases = scene.number("SELECT count(*) FROM {s}.lease WHERE worker = $1", &[scene.owner.0]).await;
        assert_eq!(leases, 0, "{what}: the fence holds");
    }
}

async fn its_id_has_one_chain(scene: &Scene, what: &str) {
    let runs = "SELECT count(*) FROM {s}.execution WHERE chain IS NULL AND workflow_id =
        (SELECT workflow_id FROM {s}.execution WHERE id = $1)";
    assert_eq!(
        scene.number(runs, &[scene.owned.0]).await,
        1,
        "{what}: a second run beside a policy that refuses it"
    );
}

/// Two claims never get the same row, and not all claims skip a row that is due and unowned.
fn claims_are_exclusive(scene: &Scene, ended: &[Ended; 2], claimed: &[i64], what: &str) {
    let claims = ended.iter().filter(|e| e.op == Op::Claim && e.committed).count();
    assert!(claims <= 1, "{what}: both claimed the one that is due");
    let free = claimed.contains(&scene.free.0);
    assert_eq!(free, claims == 0, "{what}: `free` is claimed once");
}

/// One at most runs under the limit, and one does if a claim was let.
async fn no_more_run_than_may(scene: &Scene, ended: &[Ended; 2], status: i64, what: &str) {
    let running = "SELECT count(*) FROM {s}.task
        WHERE execution = $1 AND limit_key <> '' AND (owner IS NOT NULL OR handed)";
    let running = scene.number(running, &[scene.owned.0]).await;
    let claimed = ended.iter().filter(|e| e.op == Op::LimitedClaim && e.committed && e.told == Told::Done);
    let claimed = claimed.count() as i64;
    assert!(running <= 1, "{what}: {running} run under a limit of 1");
    assert!(status >= 10 || running == claimed, "{what}: {running} run, {claimed} were claimed");
}

/// What was sent to the suspended run is there; it is parked if the run is suspended still, and only then
/// (PROTOCOL 97).
async fn only_what_stands_has_parked_messages(scene: &Scene, ended: &[Ended; 2], what: &str) {
    let sent = ended.iter().filter(|e| e.op == Op::SignalSuspended && e.committed).count();
    let kept = "SELECT count(*) FROM {s}.inbox WHERE execution = $1 AND kind = 0";
    let wrong = "SELECT count(*) FROM {s}.inbox i JOIN {s}.execution e ON e.id = i.execution
        WHERE e.id = $1 AND i.kind = 0 AND i.parked <> (e.status = 1)";
    let id = [scene.suspended.0];
    assert_eq!(scene.number(kept, &id).await, sent as i64, "{what}: an acknowledged message is lost");
    assert_eq!(scene.number(wrong, &id).await, 0, "{what}: a message is parked under a run that goes on");
    let taken = ended.iter().filter(|e| e.op == Op::Offer && e.committed).count();
    assert!(taken <= 1, "{what}: both took it up");
}

/// Two claims never get the same end, and a run that is to end is claimed for it while it has no owner.
async fn ends_are_claimed_once(scene: &Scene, ended: &[Ended; 2], what: &str) {
    let is_claim = |e: &&Ended| matches!(e.op, Op::EndByTimeout | Op::EndByMessage);
    let claims = ended.iter().filter(is_claim).filter(|e| e.committed).count();
    assert!(claims <= 1, "{what}: both claimed one end");
    if !ended.iter().any(|e| is_claim(&e)) {
        return;
    }
    let owned = "SELECT count(*) FROM {s}.execution WHERE id = $1 AND owner IS NOT NULL";
    let owned = scene.number(owned, &[scene.suspended.0]).await;
    let claimed = claim_ends(scene, &mut *scene.connect().await, scene.third).await.unwrap();
    let free = claimed.contains(&scene.suspended.0);
    assert_eq!(free, owned == 0, "{what}: the end of `suspended` is claimed, unless another has it");
}

/// Each committed item is there, and the numbers have no gap.
async fn what_was_published_is_numbered(scene: &Scene, ended: &[Ended; 2], what: &str) {
    let published = ended
        .iter()
        .filter(|e| matches!(e.op, Op::Append | Op::Publish) && e.committed && e.told == Told::Done);
    let published = published.count() as i64;
    let kept = "SELECT count(*) FROM {s}.stream_item WHERE execution = $1 AND seq <= 2";
    assert_eq!(scene.number(kept, &[scene.owned.0]).await, published, "{what}: items");
    let next = "SELECT coalesce(max(next_seq), 1) FROM {s}.stream WHERE execution = $1";
    assert_eq!(scene.number(next, &[scene.owned.0]).await, published + 1, "{what}: the next number");
}

/// An operation without a conflict does what it was asked.
fn alone_it_works(way: Way, ended: &[Ended; 2], what: &str) {
    // Expiries of other scenes reach those that expect one.
    let alone = ended.iter().all(|e| e.op != Op::Expire);
    if way != Way::FirstRollsBack || !alone || !matches!(ended[0].told, Told::Done) {
        return;
    }
    let second = &ended[1];
    // A lock that was held at the time, or a message in the inbox's index, may still refuse it: it is retried.
    let turned_away = matches!(second.told, Told::Refused(Kind::Busy));
    let needs_lease = matches!(ended[0].op, Op::SetFree | Op::LoseTasks);
    // Claims and heartbeats skip locked rows and come to them the next time (see `claims_are_exclusive`).
    let skips = matches!(
        second.op,
        Op::Beat
            | Op::Claim
            | Op::ClaimTasks
            | Op::LimitedClaim
            | Op::Offer
            | Op::EndByTimeout
            | Op::EndByMessage
    );
    let nothing = skips || matches!(second.op, Op::Start | Op::StartOnly | Op::Bear | Op::Slice);
    if !turned_away && !needs_lease && !nothing && !matches!(second.op, Op::SetFree | Op::LoseTasks) {
        assert_eq!(second.told, Told::Done, "{what}: the first was rolled back, so nothing stood in its way");
    }
}
