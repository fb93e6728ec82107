//! Who is woken by a write: wake-ups are counted, never timed.

use super::*;
use tokio::sync::watch;

/// What one process hears.
struct Ears {
    work: watch::Receiver<u64>,
    news: watch::Receiver<u64>,
}

impl Ears {
    /// Of a process that listens: whatever it hears of what came before does not come later.
    async fn of(lab: &Lab, process: &Process) -> Self {
        let mut ears = Self { work: process.store.changes(), news: process.store.news() };
        if matches!(lab, Lab::Postgres(_)) {
            heard(&mut ears.work, 1).await;
            heard(&mut ears.news, 1).await;
        }
        ears
    }

    fn counts(&self) -> (u64, u64) {
        (*self.work.borrow(), *self.news.borrow())
    }
}

/// Waits until so many wake-ups have come.
async fn heard(ear: &mut watch::Receiver<u64>, count: u64) {
    let heard = tokio::time::timeout(Duration::from_secs(30), ear.wait_for(|now| *now >= count));
    heard.await.expect("it is woken").expect("the store is open");
}

fn task(queue: &str) -> NewTask {
    NewTask {
        activity: EventId(2),
        attempt: 1,
        queue: Some(queue.to_owned()),
        name: "step".to_owned(),
        input: "[]".to_owned(),
        limits: "{}".to_owned(),
        run_at_ms: 1,
        start_by_ms: None,
        close_by_ms: None,
        details: None,
    }
}

fn reply(request_id: &str, asker: Option<i64>) -> Reply {
    let (request_id, body) = (request_id.to_owned(), "1".to_owned());
    Reply { request_id, body, stage: 0, expires_at_ms: i64::MAX, asker }
}

async fn done(process: &Process, append: Append) {
    let told = process.append(append).await;
    assert!(matches!(told, Ok(AppendOutcome::Done)), "{told:?}");
}

/// Between processes. On SQLite each commit of another process is one wake-up, whatever it was.
pub(super) async fn only_those_whom_a_write_concerns_are_woken(lab: Lab) {
    if matches!(lab, Lab::Sqlite(_)) {
        return;
    }
    let (a, b, c) = (lab.process().await, lab.process().await, lab.process().await);
    let (of_a, of_b) = (a.running("order-1").await, b.running("order-2").await);
    let mut ears = [Ears::of(&lab, &a).await, Ears::of(&lab, &b).await, Ears::of(&lab, &c).await];
    let mut expected = ears.each_ref().map(Ears::counts);
    // A start in the task queue of all, by the process that has just written: what it said before has come by then.
    let start = async |by: &Process, ears: &mut [Ears; 3], expected: &mut [(u64, u64); 3], what: &str| {
        by.store.start(by.new_execution(what)).await.unwrap();
        for (ears, expected) in ears.iter_mut().zip(expected.iter_mut()) {
            expected.0 += 1;
            heard(&mut ears.work, expected.0).await;
        }
        assert_eq!(ears.each_ref().map(Ears::counts), *expected, "{what}");
    };
    done(&a, Append { messages: vec![a.message(of_b, "s1")], ..a.turn(of_a, 2, 1) }).await;
    expected[1].0 += 1;
    heard(&mut ears[1].work, expected[1].0).await;
    start(&a, &mut ears, &mut expected, "a message of an append wakes its receiver's owner").await;
    for (seq, stop) in [(3, TaskChange::Cancel(EventId(2))), (5, TaskChange::Drop(EventId(2)))] {
        let tasks = vec![TaskChange::Insert(task("elsewhere"))];
        done(&a, Append { tasks, ..a.turn(of_a, seq, 1) }).await;
        let (queues, names) = (vec!["elsewhere".to_owned()], vec!["step".to_owned()]);
        let claim = TaskClaim { owner: c.me, queues, names, limit: 1 };
        let key = c.store.claim_tasks(claim).await.unwrap().tasks[0].key;
        done(&a, Append { tasks: vec![stop], ..a.turn(of_a, seq + 1, 1) }).await;
        expected[2].0 += 1;
        heard(&mut ears[2].work, expected[2].0).await;
        start(&a, &mut ears, &mut expected, &format!("who runs it has to stop ({seq})")).await;
        // The worker that runs what is cancelled ends it.
        if c.store.finish_task(c.me, key, r#"{"cancelled":null}"#.to_owned()).await.unwrap() {
            expected[0].0 += 1;
            heard(&mut ears[0].work, expected[0].0).await;
            start(&c, &mut ears, &mut expected, "an outcome wakes the owner").await;
        }
    }
    let late = NewTask { start_by_ms: Some(1), ..task("elsewhere") };
    done(&a, Append { tasks: vec![TaskChange::Insert(late)], ..a.turn(of_a, 7, 1) }).await;
    assert_eq!(b.store.expire_tasks().await.unwrap(), 1);
    expected[0].0 += 1;
    heard(&mut ears[0].work, expected[0].0).await;
    start(&b, &mut ears, &mut expected, "an expired attempt wakes the owner").await;
    c.store.put_reply(reply("q1", Some(b.store.block()))).await.unwrap();
    expected[1].1 += 1;
    heard(&mut ears[1].news, expected[1].1).await;
    // An older release does not say who asks.
    c.store.put_reply(reply("q2", None)).await.unwrap();
    for (ears, expected) in ears.iter_mut().zip(expected.iter_mut()) {
        expected.1 += 1;
        heard(&mut ears.news, expected.1).await;
    }
    assert_eq!(ears.each_ref().map(Ears::counts), expected, "a reply wakes the process that asked");
}

/// Within a process. The other one has gone before, so that nothing else wakes this one.
pub(super) async fn what_concerns_another_process_wakes_no_worker_here(lab: Lab) {
    let b = lab.process().await;
    let of_b = b.running("order-2").await;
    b.die().await;
    let a = lab.process().await;
    let of_a = a.running("order-1").await;
    let ears = Ears::of(&lab, &a).await;
    let (before, _) = ears.counts();
    done(&a, Append { messages: vec![a.message(of_b, "s1")], ..a.turn(of_a, 2, 1) }).await;
    assert_eq!(ears.counts().0, before, "a message to what another process owns");
    done(&a, Append { messages: vec![a.message(of_a, "s1")], ..a.turn(of_a, 3, 1) }).await;
    assert_eq!(ears.counts().0, before + 1, "a message to what it owns");
    let tasks = vec![TaskChange::Insert(task("elsewhere"))];
    done(&a, Append { tasks, ..a.turn(of_a, 4, 1) }).await;
    let told = ears.counts().0;
    done(&a, Append { tasks: vec![TaskChange::Cancel(EventId(2))], ..a.turn(of_a, 5, 1) }).await;
    assert_eq!(ears.counts().0, told + 1, "its own inbox has the outcome of what was not begun");
}
