//! What goes with a start is a signal or an update of the workflow that is started.

use abide::prelude::*;

#[derive(Default)]
struct Cart {
    total: u64,
}

#[workflow]
impl Cart {
    #[run]
    async fn run(&mut self) {}

    #[signal]
    fn note(&mut self) {}

    #[update]
    fn add(&mut self, n: u64) -> u64 {
        self.total += n;
        self.total
    }

    #[query]
    fn total(&self) -> u64 {
        self.total
    }
}

#[workflow]
async fn ship(to: String) {}

async fn cancel(client: Client, cart: Handle<Cart>) -> Result<(), Failure> {
    client.start(Cart::run()).with(|_| cart.cancel("late")).await?;
    Ok(())
}

async fn of_another_workflow(client: Client) -> Result<(), Failure> {
    client.start(ship("me".into())).with(|_| Opened::note()).await?;
    Ok(())
}

struct Opened;

impl Opened {
    fn note() -> abide::OpeningSignal<Cart> {
        unimplemented!()
    }
}

async fn query(client: Client) -> Result<(), Failure> {
    client.start(Cart::run()).with(|cart| cart.total()).await?;
    Ok(())
}

async fn two_updates(client: Client) -> Result<(), Failure> {
    client.start(Cart::run()).with(|cart| cart.add(1)).with(|cart| cart.add(2)).await?;
    Ok(())
}

async fn wrong_argument(client: Client) -> Result<(), Failure> {
    client.start(Cart::run()).with(|cart| cart.add("one")).await?;
    Ok(())
}

fn main() {}
