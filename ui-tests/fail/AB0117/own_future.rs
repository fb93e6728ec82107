use abide::prelude::*;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future of the user's own: no rule knows its name.
struct Never;

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

#[workflow]
async fn report() {
    Never.await;
}

fn main() {}
