use abide::prelude::*;

#[workflow]
async fn order() {
    workflow::assume_deterministic("", std::future::ready(1)).await;
}

struct Table;

impl Table {
    #[workflow::helper]
    fn of(&self) -> impl workflow::WorkflowFuture<Output = u32> {
        async { workflow::assume_deterministic(" ", std::future::ready(1)).await }
    }
}

fn main() {}
