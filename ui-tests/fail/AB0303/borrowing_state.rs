use abide::prelude::*;
#[derive(Default)]
struct Order<'a> { name: &'a str }
#[workflow]
impl Order<'_> {
    #[run]
    async fn run(&mut self) -> u32 { 1 }
}
#[derive(Default)]
struct Order2<'a> { name: &'a str }
#[workflow]
impl<'a> Order2<'a> {
    #[run]
    async fn run(&mut self) -> u32 { 1 }
}
struct Pay<'a>(&'a str);
#[activity]
impl Pay<'_> {
    async fn charge(&self) -> u32 { 1 }
}
fn main() {}
