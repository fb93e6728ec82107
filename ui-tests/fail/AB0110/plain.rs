use abide::prelude::*;

#[workflow]
async fn report() -> String {
    format!("{:p}", &1)
}

fn main() {}
