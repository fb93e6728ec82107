//! A body that says that it is completed later, in an attribute that does not.

use abide::activity::complete_later as later;
use abide::prelude::*;

#[activity(schedule_to_close = "7d")]
async fn ask(document: String) -> Result<bool, Failure> {
    drop((document, activity::context().completion_token()));
    activity::complete_later().await
}

#[activity]
async fn ask_by_another_name() -> bool {
    later().await
}

struct Desk;

#[activity]
impl Desk {
    async fn sign(&self) -> bool {
        if true { activity::complete_later().await } else { false }
    }
}

mod own {
    pub mod activity {
        pub async fn complete_later() -> bool {
            true
        }
    }
}

mod fine {
    use super::own::activity;

    /// Not the engine's.
    #[abide::activity]
    async fn other() -> bool {
        activity::complete_later().await
    }
}

fn main() {}
