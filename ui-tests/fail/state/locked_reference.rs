use abide::prelude::*;

#[derive(Default)]
struct Till {
    turn: workflow::Mutex<u32>,
    seen: u32,
}

#[workflow]
impl Till {
    #[run]
    async fn run(&mut self) {
        let turn = &self.turn;
        let guard = turn.lock().await;
        self.seen = *guard;
        let _ = turn;
    }
}

fn main() {}
