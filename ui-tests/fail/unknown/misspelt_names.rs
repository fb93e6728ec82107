// One mistake, one message: what rustc itself refuses, the probes leave alone.
use abide::prelude::*;

fn pool() -> Pool {
    unimplemented!()
}

#[workflow]
async fn report() {
    let rows = pool();
    let _ = rows;
    for line in lines() {
        drop(line);
    }
    let at = moment().unwrap();
    let _ = at;
}

fn main() {}
