use abide::prelude::*;

#[workflow::deterministic(" ")]
fn table(n: u32) -> u32 {
    n
}

struct Table;

#[workflow::helper]
impl Table {
    #[workflow::deterministic]
    fn of(&self, n: u32) -> u32 {
        table(n)
    }
}

fn main() {}
