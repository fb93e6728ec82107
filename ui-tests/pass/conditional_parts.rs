//! `#[cfg(..)]` on parts of marked items: parameters, handlers of one name, fields, elements, generics, closures' arguments.
#![deny(warnings)]

use abide::prelude::*;

#[activity]
async fn charge(#[cfg(windows)] account: String, cents: u32, #[cfg(not(windows))] fee: u32) -> u32 {
    #[cfg(windows)]
    let fee = account.len() as u32;
    cents + fee
}

#[workflow]
async fn free(#[cfg(feature = "never")] gone: u32, #[cfg(not(feature = "never"))] here: u32) -> Result<u32, Failure> {
    #[cfg(windows)]
    let charged = charge("x".to_owned(), here).await?;
    #[cfg(not(windows))]
    let charged = charge(here, 1).await?;
    Ok(charged)
}

struct Parts {
    a: u32,
    #[cfg(windows)]
    b: u32,
    #[cfg(not(windows))]
    b: u64,
}

#[workflow::helper]
async fn picked<#[cfg(windows)] A: Default, #[cfg(not(windows))] T: Default + Into<u64>>(
    #[cfg(windows)] n: u32,
    #[cfg(not(windows))] n: T,
) -> u64 {
    workflow::sleep(secs(1)).await;
    #[cfg(windows)]
    drop(A::default());
    n.into()
}

#[derive(Default)]
pub struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[cfg(feature = "never")]
    #[run]
    pub async fn run(&mut self, gone: String) -> u32 {
        gone.len() as u32
    }

    #[cfg(not(feature = "never"))]
    #[run]
    pub async fn run(&mut self, #[cfg(not(windows))] n: u32) -> Result<u64, Failure> {
        #[cfg(windows)]
        let n = 1;
        let parts = Parts {
            #[cfg(windows)]
            a: charge("x".to_owned(), n).await?,
            #[cfg(not(windows))]
            a: charge(n, 2).await?,
            b: 3,
        };
        let Parts {
            a,
            #[cfg(windows)]
            b: _,
            #[cfg(not(windows))]
            b,
        } = parts;
        #[cfg(windows)]
        let b = 1;
        let listed = [
            #[cfg(windows)]
            charge("x".to_owned(), n).await?,
            #[cfg(not(windows))]
            charge(n, 3).await?,
            a,
        ];
        let add = |#[cfg(windows)] x: u32, #[cfg(not(windows))] x: u64| u64::from(x) + 1;
        Ok(b + add(listed[0].into()) + u64::from(self.n))
    }

    #[cfg(windows)]
    #[signal]
    pub fn set(&mut self, n: u32, twice: bool) {
        self.n = n * (1 + u32::from(twice));
    }

    #[cfg(not(windows))]
    #[signal]
    pub async fn set(&mut self, n: u32) {
        self.n = n;
    }

    #[cfg_attr(not(windows), query)]
    #[cfg_attr(windows, workflow::helper)]
    pub fn number(&self) -> u32 {
        self.n
    }
}

pub struct Payments;

#[activity]
impl Payments {
    #[cfg(windows)]
    pub async fn refund(&self, n: u32, why: String) -> u32 {
        n + why.len() as u32
    }

    #[cfg(not(windows))]
    pub async fn refund(&self, n: u32) -> u32 {
        n
    }

    #[cfg_attr(not(windows), activity(start_to_close = "5s"))]
    pub fn hash(&self, n: u32) -> u32 {
        n
    }
}

#[cfg(not(windows))]
async fn elsewhere(order: abide::Handle<Order>) -> abide::Result<()> {
    order.set(3).await?;
    let _: Option<u32> = order.number().await.ok();
    Ok(())
}

fn main() {
    #[cfg(not(windows))]
    let _ = (Payments::hash, Payments::refund, picked::<u32>, elsewhere);
    let _ = (free, Order::run, picked_is_used);
}

#[workflow]
async fn picked_is_used() -> u64 {
    picked(1_u32).await
}
