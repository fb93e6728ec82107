//! A workflow writes to another one, and the only worker is killed again and again: each letter arrives once, and its
//! writer is told so.

use crate::evidence::Evidence;
use crate::scene::{Scene, eventually};
use crate::workflows::{Letters, writer};

#[tokio::test]
async fn each_letter_between_workflows_arrives_once() {
    const MANY: u64 = 40;
    let (scene, mut evidence) = (Scene::new(), Evidence::default());
    let (mut worker, client) = (scene.worker(), scene.client().await);
    let letters = client.start(Letters::run(MANY as usize)).id("letters").await.unwrap();
    let written = client.start(writer("letters".to_owned(), MANY, 10)).await.unwrap();
    for kill in 1..=4_usize {
        // A worker that was just killed answers no query, but the next one does.
        eventually("it reads on", async || letters.read().await.is_ok_and(|read| read >= 8 * kill)).await;
        worker.kill();
        worker = scene.worker();
    }
    assert_eq!(written.result().await.unwrap(), MANY);
    assert_eq!(letters.result().await.unwrap(), (0..MANY).map(|n| 2 * n).collect::<Vec<_>>());
    evidence.check(&scene).await;
    worker.stop();
}
