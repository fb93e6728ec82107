//! Close policies: which children of a closed run are told, in slices; messages to children; reports of ends from
//! outside.

use super::*;
use crate::store::child::close_policy;
use abide_core::ParentClosePolicy;

pub(in crate::store) fn child(
    process: &Process,
    parent: ExecutionId,
    no: u64,
    policy: ParentClosePolicy,
) -> NewChild {
    let id = process.store.execution_id();
    NewChild {
        id,
        workflow_id: format!("{parent}/{no}"),
        run_id: uuid::Uuid::now_v7().to_string(),
        name: None,
        workflow_type: "Order".to_owned(),
        // No worker claims it.
        queue: "children".to_owned(),
        owner: None,
        input: "[1]".to_owned(),
        context: "{}".to_owned(),
        parent,
        child_no: EventId(no),
        close_policy: close_policy(policy),
        close_by: None,
        chain_by: None,
        created_at: process.store.now_ms(),
        starts: false,
    }
}

fn done(outcome: Result<AppendOutcome, StoreError>) {
    assert!(matches!(outcome, Ok(AppendOutcome::Done)), "{outcome:?}");
}

/// A parent with these children.
async fn family(process: &Process, policies: &[ParentClosePolicy]) -> (ExecutionId, Vec<ExecutionId>) {
    let parent = process.running("parent").await;
    let children: Vec<NewChild> =
        (2..).zip(policies).map(|(no, policy)| child(process, parent, no, *policy)).collect();
    let ids = children.iter().map(|child| child.id).collect();
    let n = u32::try_from(policies.len()).unwrap();
    done(process.append(Append { children, ..process.turn(parent, 2, n) }).await);
    (parent, ids)
}

/// The kinds in an inbox, by their numbers.
async fn kinds(process: &Process, id: ExecutionId) -> Vec<i64> {
    process.run(id).await.inbox.iter().map(|row| row.kind.code()).collect()
}

/// Calls until nothing is left.
async fn tell(process: &Process) -> Vec<u64> {
    let mut told = Vec::new();
    for _ in 0..20 {
        let orphans = process.store.tell_orphans().await.unwrap();
        told.push(orphans.told);
        if orphans.left == 0 {
            return told;
        }
    }
    panic!("it comes to no end: {told:?}");
}

pub(super) async fn each_child_is_told_by_its_policy_and_once(lab: Lab) {
    use ParentClosePolicy::{Abandon, RequestCancel, Terminate};
    let a = lab.process().await;
    let (parent, ids) = family(&a, &[Terminate, RequestCancel, Abandon]).await;
    assert_eq!(tell(&a).await, [0], "it is open");
    done(a.append(Append { orphans: true, ..a.close(parent, 5) }).await);
    assert_eq!(tell(&a).await, [2]);
    assert_eq!(tell(&a).await, [0], "the mark is gone");
    let mut all = Vec::new();
    for id in ids {
        all.push(kinds(&a, id).await);
    }
    assert_eq!(all, [vec![8], vec![1], vec![]]);
}

pub(super) async fn close_policies_are_sent_to_open_children_in_slices(lab: Lab) {
    let a = lab.process().await;
    let (parent, ids) = family(&a, &[ParentClosePolicy::Terminate; 150]).await;
    done(a.append(Append { orphans: true, ..a.close(parent, 152) }).await);
    assert_eq!(tell(&a).await, [100, 50]);
    for id in ids {
        assert_eq!(kinds(&a, id).await, [8]);
    }
}

pub(super) async fn an_end_from_outside_tells_children_and_the_parent(lab: Lab) {
    let a = lab.process().await;
    let (parent, ids) = family(&a, &[ParentClosePolicy::Terminate]).await;
    let event = r#"{"terminated":{"reason":"enough"}}"#;
    let terminate = |id| a.store.terminate(id, format!("t{id}"), event.to_owned());
    assert_eq!(terminate(ids[0]).await.unwrap(), SendAnswer::Sent);
    let report = a.run(parent).await.inbox.into_iter().map(|row| (row.kind, row.request_id, row.body));
    let body = r#"{"child":2,"end":"terminated"}"#.to_owned();
    assert_eq!(report.collect::<Vec<_>>(), [(MessageKind::ChildEnded, "child/2".to_owned(), body)]);
    let other = child(&a, parent, 3, ParentClosePolicy::Terminate);
    let id = other.id;
    done(a.append(Append { children: vec![other], ..a.turn(parent, 3, 1) }).await);
    assert_eq!(terminate(parent).await.unwrap(), SendAnswer::Sent);
    assert_eq!(tell(&a).await, [1]);
    assert_eq!(kinds(&a, id).await, [8]);
    // Its parent is closed, and gets no report.
    assert_eq!(terminate(id).await.unwrap(), SendAnswer::Sent);
    let left = kinds(&a, parent).await;
    assert!(left.iter().all(|kind| *kind == 3), "{left:?}");
}

pub(super) async fn a_child_that_is_born_owned_is_claimed_by_nobody(lab: Lab) {
    let a = lab.process().await;
    let parent = a.running("parent").await;
    let of = |no| NewChild { queue: "q".to_owned(), ..child(&a, parent, no, ParentClosePolicy::Terminate) };
    let owned = NewChild { owner: Some(a.me), ..of(2) };
    let (mine, free) = (owned.id, of(3));
    let id = free.id;
    done(a.append(Append { children: vec![owned, free], ..a.turn(parent, 2, 2) }).await);
    let row = a.row(mine).await;
    assert_eq!((row.owner, row.rev, row.active), (Some(a.me), 0, false));
    assert_eq!(ids(&a.claim().await), [id]);
}

pub(super) async fn a_message_to_a_child_finds_its_open_run(lab: Lab) {
    let a = lab.process().await;
    let parent = a.running("parent").await;
    let born = child(&a, parent, 2, ParentClosePolicy::Terminate);
    let id = born.id;
    let to = |command, no, kind, answered| Dispatch {
        command: EventId(command),
        to: Address::Child { parent, no: EventId(no) },
        kind,
        body: r#"{"reason":"late"}"#.to_owned(),
        answered,
    };
    let cancel = |command, no, answered| to(command, no, MessageKind::Cancel, answered);
    // To the birth of the same append, and to one that never was.
    let dispatches = vec![cancel(3, 2, false), cancel(4, 9, true), to(5, 9, MessageKind::Signal, true)];
    done(a.append(Append { children: vec![born], dispatches, ..a.turn(parent, 2, 4) }).await);
    assert_eq!(kinds(&a, id).await, [1]);
    let answers = a.run(parent).await.inbox.into_iter().map(|row| (row.request_id, row.body));
    let refused = r#"{"refused":"not running"}"#.to_owned();
    let answer = |command, body: &str| (answer_id(EventId(command)), body.to_owned());
    assert_eq!(answers.collect::<Vec<_>>(), [answer(4, "{}"), answer(5, &refused)]);
    done(a.append(Append { dispatches: vec![cancel(6, 2, true)], ..a.turn(parent, 6, 1) }).await);
    assert_eq!(kinds(&a, id).await, [1, 1]);
}
