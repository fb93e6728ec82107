use abide::prelude::*;

#[activity(task_queue = "")]
async fn transcode(clip: u32) -> u32 {
    clip
}

const QUEUE: &str = "gpu";

#[activity(task_queue = QUEUE)]
async fn render(clip: u32) -> u32 {
    clip
}

#[activity(task_queue)]
async fn cut(clip: u32) -> u32 {
    clip
}

fn main() {}
