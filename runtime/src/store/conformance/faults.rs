//! Faults: what breaks in a commit never loses, doubles or invents anything.

use super::*;
use crate::status::ExecutionStatus;
use std::collections::VecDeque;
use std::sync::Mutex;

/// The faults that a process is still to meet.
pub(super) type Armed = Arc<Mutex<VecDeque<(Stage, Fault)>>>;

/// A process whose writer meets these faults, one a question; then none.
pub(super) async fn process(lab: &Lab, faults: &[(Stage, Fault)]) -> (Process, Armed) {
    let armed: Arc<Mutex<VecDeque<(Stage, Fault)>>> = Arc::default();
    let script = Arc::clone(&armed);
    let hook: FaultHook = Arc::new(move |stage| {
        let mut script = script.lock().unwrap();
        if script.front()?.0 != stage {
            return None;
        }
        script.pop_front().map(|(_, fault)| fault)
    });
    let process = lab.process_with(Settings { fault: Some(hook), ..Settings::default() }).await;
    armed.lock().unwrap().extend(faults);
    (process, armed)
}

/// These faults in the way of some appends: all are in, once.
async fn check(lab: &Lab, faults: &[(Stage, Fault)]) {
    let lab = lab.another();
    let (process, armed) = process(&lab, &[]).await;
    let old = process.running("old").await;
    armed.lock().unwrap().extend(faults);
    let new = process.new_execution("new");
    let new_id = new.id;
    let told = [
        process.submit(process.turn(old, 2, 2)),
        process.submit(process.create(new)),
        process.submit(Append {
            close: Some(closed(ExecutionStatus::Failed)),
            ..process.create(process.new_execution("e"))
        }),
    ];
    for told in told {
        assert!(matches!(told.await.unwrap(), Ok(AppendOutcome::Done)), "{faults:?}");
    }
    assert_eq!(armed.lock().unwrap().len(), 0, "all faults were met");
    assert_eq!(process.store.journal(old).await.unwrap().len(), 2);
    assert_eq!(process.store.journal(new_id).await.unwrap().len(), 1);
    assert_eq!(process.store.list(Filter::default()).await.unwrap().rows.len(), 3);
}

pub(super) async fn a_call_that_breaks_off_is_read_back(lab: Lab) {
    check(&lab, &[(Stage::BeforeCommit, Fault::Lost)]).await;
    check(&lab, &[(Stage::AfterCommit, Fault::Lost)]).await;
    check(&lab, &[(Stage::BeforeCommit, Fault::Lost), (Stage::AfterCommit, Fault::Lost)]).await;
}

pub(super) async fn locks_and_full_disks_are_waited_out(lab: Lab) {
    check(&lab, &[(Stage::BeforeCommit, Fault::Busy), (Stage::BeforeCommit, Fault::Busy)]).await;
    check(&lab, &[(Stage::BeforeCommit, Fault::Full)]).await;
}

pub(super) async fn a_client_is_told_that_it_is_unknown_and_asks_again(lab: Lab) {
    let (process, armed) = process(&lab, &[]).await;
    let id = process.running("order-1").await;
    armed.lock().unwrap().push_back((Stage::AfterCommit, Fault::Lost));
    let unknown = process.store.send(process.message(id, "s1")).await.unwrap_err();
    assert_eq!(unknown.code(), "AB0410");
    assert_eq!(process.send(id, "s1").await, SendAnswer::Known);
    armed.lock().unwrap().push_back((Stage::BeforeCommit, Fault::Lost));
    assert_eq!(process.store.send(process.message(id, "s2")).await.unwrap_err().code(), "AB0410");
    assert_eq!(process.send(id, "s2").await, SendAnswer::Sent, "it was not in");
    armed.lock().unwrap().push_back((Stage::BeforeCommit, Fault::Full));
    assert_eq!(process.store.send(process.message(id, "s3")).await.unwrap_err().code(), "AB0504");
}

pub(super) async fn a_closed_store_says_so(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let last = process.submit(process.turn(id, 2, 1));
    process.store.close().await.unwrap();
    assert!(matches!(last.await.unwrap(), Ok(AppendOutcome::Done)), "what was queued is written");
    assert!(matches!(process.append(process.turn(id, 3, 1)).await, Err(StoreError::Closed)));
    assert!(matches!(process.store.find(Find::Execution(id)).await, Err(StoreError::Closed)));
    process.store.close().await.unwrap();
}
