#![deny(unused_must_use)]
use abide::prelude::*;

#[derive(Default)]
struct Cart {
    total: u32,
}

struct NotSerde;

#[workflow]
impl Cart {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }

    #[update]
    fn add(&mut self, n: u32) -> Result<u32, Failure> {
        self.total += n;
        Ok(self.total)
    }

    #[update]
    fn odd(&mut self) -> NotSerde {
        NotSerde
    }
}

async fn client(cart: Handle<Cart>) {
    cart.add(1);
    cart.ad(1).await.ok();
    cart.add("1").await.ok();
    cart.add().await.ok();
    cart.updates().add(1).result().await.ok();
}

fn main() {}
