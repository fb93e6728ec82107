use abide::prelude::*;
#[activity(start_to_close_timeout = "1s")]
async fn a(n: u32) -> Result<u32, Failure> { Ok(n) }
#[activity(start_to_close = "1s", retry(maximum_attempts = 3))]
async fn b(n: u32) -> Result<u32, Failure> { Ok(n) }
#[activity(start_to_close = "1s", retry(max_attempts = 3, non_retryable = ["X"]))]
async fn c(n: u32) -> Result<u32, Failure> { Ok(n) }
#[activity(schedule_to_close_timeout = "1s", retry_policy(max_attempts = 3))]
async fn d(n: u32) -> Result<u32, Failure> { Ok(n) }
#[activity(heartbeat = "1s", retry(maximum_interval = "1s"))]
async fn e(n: u32) -> Result<u32, Failure> { Ok(n) }
#[activity(non_retryable_error_types = ["X"], queue = "a")]
async fn f(n: u32) -> Result<u32, Failure> { Ok(n) }
#[activity(timeout = "1s", max_attempts = 3)]
async fn g(n: u32) -> Result<u32, Failure> { Ok(n) }
#[workflow(queue = "a")]
async fn w(n: u32) -> u32 { n }
fn main() {}
