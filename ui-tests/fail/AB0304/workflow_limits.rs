use abide::prelude::*;

#[workflow(run_timeout = "0s")]
async fn never(n: u32) -> u32 {
    n
}

#[workflow(execution_timeout = "soon")]
async fn soon(n: u32) -> u32 {
    n
}

#[workflow(task_queue = "")]
async fn nowhere(n: u32) -> u32 {
    n
}

#[workflow(retry = 3)]
async fn again(n: u32) -> u32 {
    n
}

fn main() {}
