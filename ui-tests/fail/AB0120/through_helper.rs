use abide::prelude::*;

fn tell(next: &mut dyn FnMut() -> u32) {
    tracing::info!("number {}", next());
}

#[workflow]
async fn order(id: u32) {
    tell(&mut || id);
}

fn main() {}
