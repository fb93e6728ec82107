use abide::prelude::*;

#[workflow]
async fn report() -> String {
    let id = std::thread::current().id();
    format!("{id:?}")
}

fn main() {}
