use abide::prelude::*;

mod util {
    pub fn pick_id() -> u64 {
        helper() + 1
    }

    fn helper() -> u64 {
        rand::random()
    }
}

#[workflow]
async fn report() -> u64 {
    util::pick_id()
}

fn main() {}
