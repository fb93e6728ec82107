use abide::prelude::*;

struct Progress(u64);

#[activity(heartbeat_timeout = "30s")]
async fn import(lines: u64) -> Result<u64, Failure> {
    let context = activity::context();
    let done = context.last_heartbeat::<Progress>().map_or(0, |done| done.0);
    context.heartbeat(&Progress(done))?;
    context.heartbeat(&lines)?;
    Ok(done)
}

fn main() {}
