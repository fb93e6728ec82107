use abide::prelude::*;

fn home() -> Option<String> {
    workflow::allow!(std::env::var("HOME").ok())
}

fn empty() -> Option<String> {
    workflow::allow!("", std::env::var("HOME").ok())
}

#[workflow]
async fn blank() -> bool {
    workflow::allow!("  ", std::env::var("HOME").is_ok())
}

#[workflow]
async fn computed(why: String) -> bool {
    workflow::allow!(why, std::env::var("HOME").is_ok())
}

fn main() {}
