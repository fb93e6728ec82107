use abide::prelude::*;
use std::collections::HashSet;

type Ids = HashSet<u32>;

#[activity]
async fn send(ids: Vec<Ids>) -> u32 {
    ids.len() as u32
}

struct Mail;

#[activity]
impl Mail {
    async fn post(&self, to: (String, HashSet<String>)) -> u32 {
        to.1.len() as u32
    }
}

#[workflow]
async fn report(ids: Ids) -> u32 {
    ids.len() as u32
}

#[derive(Default)]
struct Shop;

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self, wanted: Option<Ids>) -> u32 {
        wanted.map_or(0, |ids| ids.len() as u32)
    }

    #[signal]
    fn add(&mut self, ids: Ids) {
        drop(ids);
    }
}

fn main() {
    let _ = Mail;
}
