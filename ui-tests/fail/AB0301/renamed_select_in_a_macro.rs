use abide::prelude::*;
use abide::workflow::select as pick;

macro_rules! twice {
    ($($tokens:tt)*) => {
        $($tokens)*
    };
}

#[workflow]
async fn order() {
    twice! {
        let slept = pick! { _ = workflow::sleep(secs(1)) => true };
        assert!(slept);
    }
}

fn main() {}
