//! What a load brings back.

use super::*;
use crate::worker::thread::tests::Bench;

/// The append that gave an attempt up was in doubt, and is in the journal. Or no append was in doubt, and the attempt
/// still waits for its back-off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_in_their_back_off_go_on_after_a_load_unless_they_were_given_up() {
    let (mut bench, id) = Bench::panicking().await;
    let mut run = bench.thread.runs.remove(&id).unwrap();
    let live = run.phase.live_mut().unwrap();
    let open = live.exec.outstanding().remove(0);
    let given_up = ActivityStart { attempt: open.attempt + 1, ..open.clone() };
    live.delayed = vec![given_up, open.clone()];
    bench.thread.read_again(&mut run, None);
    bench.thread.put(run);
    let answer = bench.answer(id, bench.loading(id).unwrap()).await;
    bench.thread.take(answer);
    let live = bench.thread.runs.get_mut(&id).unwrap().phase.live_mut().unwrap();
    let delayed: Vec<_> = live.delayed.iter().map(|start| (start.activity, start.attempt)).collect();
    assert_eq!(delayed, [(open.activity, open.attempt)]);
}
