//! Streams: items ride in appends or are written for an attempt; numbers have no gap; the newest are kept.

use super::*;

const NAME: &str = "tok\u{65}ns \"1\"";

fn item(stream: &str, body: impl Into<String>) -> NewItem {
    NewItem { stream: stream.to_owned(), at_ms: 5, attempt: None, body: body.into() }
}

fn of_attempt(attempt: u32, body: &str) -> NewItem {
    NewItem { attempt: Some(attempt), ..item(NAME, body) }
}

impl Process {
    async fn read(&self, of: ExecutionId, stream: &str, after: i64) -> Vec<StreamRow> {
        self.store.stream_items(of, stream.to_owned(), after).await.unwrap()
    }

    async fn bodies(&self, of: ExecutionId, stream: &str) -> Vec<(i64, String)> {
        self.read(of, stream, 0).await.into_iter().map(|row| (row.seq, row.body)).collect()
    }

    fn publishing(&self, of: ExecutionId, seq: u64, published: Vec<NewItem>) -> Append {
        Append { published, ..self.turn(of, seq, 1) }
    }

    async fn publish(&self, of: ExecutionId, items: Vec<NewItem>) -> Result<(), StoreError> {
        self.store.publish(self.me, of, items).await
    }
}

fn numbered(bodies: &[&str]) -> Vec<(i64, String)> {
    (1..).zip(bodies.iter().map(|body| (*body).to_owned())).collect()
}

pub(super) async fn items_are_numbered_whoever_publishes_them(lab: Lab) {
    let process = lab.process().await;
    let (id, other) = (process.running("order-1").await, process.running("order-2").await);
    assert_eq!(process.read(id, NAME, 0).await, []);
    let first =
        process.publishing(id, 2, vec![item(NAME, "1"), item("b", "[\"\u{e4}\\n\"]"), item(NAME, "2")]);
    let beside = process.submit(process.publishing(other, 2, vec![item(NAME, "9")]));
    assert!(matches!(process.append(first).await, Ok(AppendOutcome::Done)));
    assert!(matches!(beside.await.unwrap(), Ok(AppendOutcome::Done)));
    process.publish(id, vec![of_attempt(3, "3"), item("c", "1"), of_attempt(3, "4")]).await.unwrap();
    assert!(matches!(
        process.append(process.publishing(id, 3, vec![item(NAME, "5")])).await,
        Ok(AppendOutcome::Done)
    ));
    assert_eq!(process.bodies(id, NAME).await, numbered(&["1", "2", "3", "4", "5"]));
    assert_eq!(process.bodies(id, "b").await, numbered(&["[\"\u{e4}\\n\"]"]));
    assert_eq!(process.bodies(id, "c").await, numbered(&["1"]));
    assert_eq!(process.bodies(other, NAME).await, numbered(&["9"]));
    let row = |seq, attempt, body: &str| StreamRow { seq, at_ms: 5, attempt, body: body.to_owned() };
    assert_eq!(process.read(id, NAME, 3).await, [row(4, Some(3), "4"), row(5, None, "5")]);
    assert_eq!(process.read(id, NAME, 5).await, []);
    // A closed run is read as an open one. Nothing is added to it.
    let close = Append { published: vec![item(NAME, "6")], ..process.close(id, 4) };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
    process.publish(id, vec![of_attempt(1, "late")]).await.unwrap();
    assert_eq!(process.bodies(id, NAME).await, numbered(&["1", "2", "3", "4", "5", "6"]));
}

pub(super) async fn an_append_that_is_not_in_publishes_nothing(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    process.send(id, "r").await;
    let close = Append { published: vec![item(NAME, "1")], ..process.close(id, 2) };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Conflict)));
    assert_eq!(process.read(id, NAME, 0).await, []);
    // Sent twice, it is in once.
    let append = process.publishing(id, 2, vec![item(NAME, "1")]);
    let twice = [process.submit(append.clone()), process.submit(append)];
    for outcome in twice {
        drop(outcome.await.unwrap());
    }
    assert_eq!(process.bodies(id, NAME).await, numbered(&["1"]));
}

pub(super) async fn a_start_publishes_with_its_first_turn_or_not_at_all(lab: Lab) {
    let process = lab.process().await;
    let (new, taken) = (process.new_execution("order-1"), process.new_execution("order-1"));
    let (id, none) = (new.id, taken.id);
    let first = Append { published: vec![item(NAME, "1")], ..process.create(new) };
    assert!(matches!(process.append(first).await, Ok(AppendOutcome::Done)));
    let second = Append { published: vec![item(NAME, "2")], ..process.create(taken) };
    assert!(matches!(process.append(second).await, Ok(AppendOutcome::Duplicate(_))));
    assert_eq!(process.bodies(id, NAME).await, numbered(&["1"]));
    assert_eq!(process.read(none, NAME, 0).await, []);
}

pub(super) async fn whoever_holds_no_lease_publishes_nothing(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    process.store.unregister(process.me).await.unwrap();
    assert!(matches!(process.publish(id, vec![of_attempt(1, "1")]).await, Err(StoreError::Fenced)));
    assert!(matches!(
        process.append(process.publishing(id, 2, vec![item(NAME, "1")])).await,
        Err(StoreError::Fenced)
    ));
    assert_eq!(process.read(id, NAME, 0).await, []);
}

pub(super) async fn the_newest_items_are_kept(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    for _ in 0..3 {
        let many = (0..4_000).map(|_| of_attempt(1, "1")).collect();
        process.publish(id, many).await.unwrap();
    }
    process.publish(id, vec![item("other", "1")]).await.unwrap();
    assert_eq!(process.read(id, NAME, 0).await.first().map(|row| row.seq), Some(2_001));
    assert!(matches!(
        process.append(process.publishing(id, 2, vec![item(NAME, "2")])).await,
        Ok(AppendOutcome::Done)
    ));
    assert_eq!(process.read(id, NAME, 0).await.first().map(|row| row.seq), Some(2_002));
    assert_eq!(process.read(id, NAME, 11_999).await.len(), 2);
    assert_eq!(process.bodies(id, "other").await, numbered(&["1"]));
}

pub(super) async fn the_newest_bytes_are_kept(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let mib = format!("\"{}\"", "x".repeat(1024 * 1024 - 2));
    for n in 1..=18 {
        process.publish(id, vec![of_attempt(n, &mib)]).await.unwrap();
    }
    assert_eq!(process.read(id, NAME, 0).await.first().map(|row| row.seq), Some(3), "16 MiB are kept");
    process.publish(id, vec![of_attempt(1, "1")]).await.unwrap();
    assert_eq!(process.read(id, NAME, 0).await.first().map(|row| row.seq), Some(4));
}

pub(super) async fn a_read_gives_a_part_of_much(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    process.publish(id, (0..300).map(|n| of_attempt(1, &n.to_string())).collect()).await.unwrap();
    assert_eq!(process.read(id, NAME, 0).await.len() as i64, READ_ITEMS);
    assert_eq!(process.read(id, NAME, READ_ITEMS).await.len() as i64, 300 - READ_ITEMS);
    let large = format!("\"{}\"", "x".repeat(700_000));
    process.publish(id, (0..4).map(|_| item("large", &*large)).collect()).await.unwrap();
    assert_eq!(process.read(id, "large", 0).await.len(), 2, "no item begins beyond 1 MiB");
    assert_eq!(process.read(id, "large", 2).await.len(), 2);
}

pub(super) async fn publishers_at_once_leave_no_gap(lab: Lab) {
    let process = Arc::new(lab.process().await);
    let (id, other) = (process.running("order-1").await, process.running("order-2").await);
    let publish = |n: i64, process: Arc<Process>| async move {
        let names = if n % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
        let items = names.map(|name| item(name, n.to_string())).to_vec();
        process.publish(if n % 3 == 0 { other } else { id }, items).await.unwrap();
    };
    let all: Vec<_> = (0..24).map(|n| tokio::spawn(publish(n, Arc::clone(&process)))).collect();
    for seq in 2..8 {
        let turn = process.publishing(id, seq, vec![item("b", "t"), item("a", "t")]);
        assert!(matches!(process.append(turn).await, Ok(AppendOutcome::Done)));
    }
    for task in all {
        task.await.unwrap();
    }
    for (of, count) in [(id, 16 + 6), (other, 8)] {
        for name in ["a", "b"] {
            let numbers: Vec<_> = process.read(of, name, 0).await.into_iter().map(|row| row.seq).collect();
            assert_eq!(numbers, (1..=count).collect::<Vec<i64>>(), "{name}");
        }
    }
}

pub(super) async fn readers_of_every_process_are_told(lab: Lab) {
    let (process, reader) = (lab.process().await, lab.process().await);
    let id = process.running("order-1").await;
    let mut news = [process.store.published(), reader.store.published()];
    process.publish(id, vec![of_attempt(1, "1")]).await.unwrap();
    for news in &mut news {
        tokio::time::timeout(Duration::from_secs(20), news.of(id)).await.expect("told of an attempt's item");
    }
    let mut news = [process.store.published(), reader.store.published()];
    assert!(matches!(
        process.append(process.publishing(id, 2, vec![item(NAME, "2")])).await,
        Ok(AppendOutcome::Done)
    ));
    for news in &mut news {
        tokio::time::timeout(Duration::from_secs(20), news.of(id)).await.expect("told of a turn's item");
    }
}
