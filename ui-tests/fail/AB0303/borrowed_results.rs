use abide::prelude::*;
#[activity]
async fn name(_: u32) -> &'static str { "a" }
#[activity]
async fn perhaps(_: Option<&str>) -> u32 { 1 }
#[workflow]
async fn report() -> &'static str { "x" }
#[workflow]
async fn report2(_: Option<&str>, _: Vec<&'static str>) -> u32 { 1 }
fn main() {}
