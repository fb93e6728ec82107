//! `select!` under other names, and the macros re-exported.

use abide::prelude::*;

mod own {
    pub use abide::workflow::select as first_of;
    pub use abide::workflow::{join, try_join, until};
}

use abide::workflow::select as pick;
use workflow::select;

#[activity]
async fn rate(n: u32) -> u32 {
    n
}

#[derive(Default)]
struct Order {
    n: u32,
    items: Vec<u32>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        let one = pick! {
            n = rate(self.n) => { self.n += 1; self.step().await; n? }
            () = workflow::sleep(secs(1)), if self.n > 3 => return Ok(0),
            else => 3,
        };
        let two = own::first_of! {
            _ = self.step() => 1,
            Ok(n) = rate(2) => { self.items.push(n); n }
        };
        let three = select! { n = rate(3) => n? };
        self.items.push(pick! { n = rate(4) => n? });
        let (a, b) = own::join!(rate(one), self.step());
        let (c, d) = own::try_join!(rate(two), rate(three))?;
        let (e, ()) = own::join!(async { self.n += 1; self.n }, self.step());
        let (f,) = own::try_join!(rate(e))?;
        own::until!(self.n > 0).await;
        let () = b;
        Ok(a? + c + d + f)
    }

    async fn step(&mut self) {
        use abide::workflow::select as race;
        race! {
            _ = workflow::sleep(secs(1)) => self.n += 1,
            _ = rate(1) => {}
        }
    }

    #[signal]
    async fn late(&mut self) {
        pick! { _ = workflow::sleep(secs(1)) => self.n = 0 }
    }
}

#[workflow::helper]
async fn free() -> u32 {
    pick! { n = rate(1) => n.unwrap_or(0), () = workflow::sleep(secs(1)) => 0 }
}

fn main() {
    let _ = Order::run;
    let _ = free;
}
