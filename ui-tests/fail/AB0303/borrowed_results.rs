use abide::prelude::*;
#[activity]
async fn name(n: u32) -> &'static str { "a" }
#[activity]
async fn perhaps(n: Option<&str>) -> u32 { 1 }
#[workflow]
async fn report() -> &'static str { "x" }
#[workflow]
async fn report2(day: Option<&str>, list: Vec<&'static str>) -> u32 { 1 }
fn main() {}
