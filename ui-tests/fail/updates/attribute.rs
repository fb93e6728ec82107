use abide::prelude::*;

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

    #[update(validate = may_add)]
    fn bare(&mut self, n: u32) -> u32 {
        n
    }

    #[update(validate = Self::may_add, validate = Self::may_add)]
    fn twice(&mut self, n: u32) -> u32 {
        n
    }

    #[update(validate = |_, _| Ok(()))]
    fn closure(&mut self, n: u32) -> u32 {
        n
    }

    #[update(validate)]
    fn nothing(&mut self, n: u32) -> u32 {
        n
    }

    #[update]
    fn waits(&mut self) -> u32 {
        workflow::sleep(secs(1)).await;
        1
    }

    #[update]
    fn no_state(n: u32) -> u32 {
        n
    }

    fn may_add(&self, _n: &u32) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() {}
