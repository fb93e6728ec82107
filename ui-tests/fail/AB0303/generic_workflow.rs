use abide::prelude::*;

#[derive(Default)]
struct Order<T>(T);

#[workflow]
impl<T: Default + 'static> Order<T> {
    #[run]
    async fn run(&mut self) -> u32 {
        1
    }
}

fn main() {}
