use abide::prelude::*;

#[activity]
async fn charge(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

struct Payments;

#[activity]
impl Payments {
    async fn refund(&self, n: u32) -> Result<u32, Failure> {
        Ok(n)
    }

    async fn refund_all(&self, orders: Vec<u32>) -> Result<(), Failure> {
        for n in orders {
            Payments::refund(n).await?;
            self.refund(n).await?;
        }
        Ok(())
    }
}

mod others {
    pub(super) use super::charge as pay;
    use abide::prelude::*;

    #[activity]
    async fn charge_all(orders: Vec<u32>) -> Result<u32, Failure> {
        let mut sum = 0;
        for n in orders {
            sum += pay(n).start_to_close(secs(1)).await?;
            sum += super::charge::body(n).await?;
        }
        Ok(sum)
    }
}

fn main() {}
