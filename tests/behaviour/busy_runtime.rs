//! Activities that block every thread of the user's runtime for longer than the lease: their worker is alive, and is
//! told what it does.

use super::support::{Db, Log};
use abide::prelude::*;
use std::fmt::Debug;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Longer than the lease, which lasts 12 s.
const BLOCKS: Duration = Duration::from_secs(14);

/// Activities that block.
struct Blocks(Log);

#[activity]
impl Blocks {
    /// Does what an async body must not do.
    async fn block(&self, n: u32) -> u32 {
        self.0.add(format!("block {n}"));
        std::thread::sleep(BLOCKS);
        n
    }
}

#[workflow]
async fn blocking(n: u32) -> Result<u32, Failure> {
    Ok(Blocks::block(n).await?)
}

/// Keeps the events that have a code: the code and the activity.
pub struct Codes(pub Log);

impl<S: tracing::Subscriber> Layer<S> for Codes {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        #[derive(Default)]
        struct Fields {
            code: String,
            activity: String,
        }
        impl Visit for Fields {
            fn record_str(&mut self, field: &Field, value: &str) {
                match field.name() {
                    "code" => value.clone_into(&mut self.code),
                    "activity" => value.clone_into(&mut self.activity),
                    _ => {}
                }
            }

            fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        if !fields.code.is_empty() {
            self.0.add(format!("{} {}", fields.code, fields.activity).trim_end());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activities_that_block_for_longer_than_the_lease_complete_once() {
    let (log, codes) = (Log::default(), Log::default());
    let subscriber = tracing_subscriber::registry().with(Codes(codes.clone()));
    let _here = tracing::subscriber::set_default(subscriber);
    let db = Db::new().await;
    let worker = db.abide.worker("busy").workflow(blocking).activities(Blocks(log.clone()));
    let worker = worker.start().await.unwrap();
    let (first, second) =
        (db.client().start(blocking(1)).await.unwrap(), db.client().start(blocking(2)).await.unwrap());
    assert_eq!((first.result().await.unwrap(), second.result().await.unwrap()), (1, 2));
    let counts = log.counts();
    assert_eq!((counts["block 1"], counts["block 2"]), (1, 1), "no attempt was lost: {counts:?}");
    let codes = codes.counts();
    assert_eq!(codes.get("AB0623 Blocks.block"), Some(&2), "each is named: {codes:?}");
    assert_eq!(codes.get("AB0510"), None, "the lease was kept: {codes:?}");
    worker.shutdown().await.unwrap();
}
