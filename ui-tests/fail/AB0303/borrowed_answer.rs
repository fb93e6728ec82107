use abide::prelude::*;
#[derive(Default)]
struct Order { name: String }
#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 { 1 }
    #[query]
    fn name(&self) -> &str { &self.name }
    #[query]
    fn first(&self) -> Option<&str> { None }
    #[signal]
    fn set(&mut self, name: &str) { self.name = name.into(); }
    #[signal]
    fn set2(&mut self, _name: Option<&'static str>) { }
}
fn main() {}
