use abide::prelude::*;

#[workflow]
async fn report() {
    let both = async {
        futures::join!(workflow::sleep(secs(1)), workflow::sleep(secs(2)));
    };
    both.await;
}

fn main() {}
