use abide::prelude::*;

#[derive(Debug, Clone, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("no")]
struct CartError;

#[derive(Debug, Clone, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("other")]
struct Other;

#[derive(Default)]
struct Cart {
    total: u32,
}

#[workflow]
impl Cart {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }

    #[update(validate = Self::changes)]
    fn one(&mut self, n: u32) -> Result<u32, CartError> {
        Ok(n)
    }

    fn changes(&mut self, _n: &u32) -> Result<(), CartError> {
        Ok(())
    }

    #[update(validate = Self::other)]
    fn two(&mut self, n: u32) -> Result<u32, CartError> {
        Ok(n)
    }

    fn other(&self, _n: &u32) -> Result<(), Other> {
        Err(Other)
    }

    #[update(validate = Self::no_verdict)]
    fn three(&mut self, n: u32) -> u32 {
        n
    }

    fn no_verdict(&self, _n: &u32) -> bool {
        true
    }

    #[update(validate = Self::otherr)]
    fn four(&mut self, n: u32) -> Result<u32, CartError> {
        Ok(n)
    }

    #[update(validate = Self::of_two)]
    fn five(&mut self, n: u32) -> Result<u32, CartError> {
        Ok(n)
    }

    fn of_two(&self, _n: &u32, _m: &u32) -> Result<(), CartError> {
        Ok(())
    }

    #[update(validate = Self::waits)]
    fn six(&mut self, n: u32) -> Result<u32, CartError> {
        Ok(n)
    }

    async fn waits(&self, _n: &u32) -> Result<(), CartError> {
        Ok(())
    }
}

fn main() {}
