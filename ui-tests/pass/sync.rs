//! Locks, permits and channels in the state and in tasks; handlers that take turns.

use abide::prelude::*;
use abide::jiff::Timestamp;

struct Desk {
    turn: workflow::Mutex<Vec<String>>,
    seats: workflow::Semaphore,
    letters: (workflow::Sender<String>, workflow::Receiver<String>),
    until: Timestamp,
}

impl Default for Desk {
    fn default() -> Self {
        let (turn, seats) = (workflow::Mutex::default(), workflow::Semaphore::new(2));
        Self { turn, seats, letters: workflow::channel(8), until: Timestamp::MAX }
    }
}

#[workflow]
impl Desk {
    #[run]
    async fn run(&mut self) -> Vec<String> {
        let (turn, seats) = (self.turn.clone(), self.seats.clone());
        let reader = workflow::spawn(async move {
            let _seat = seats.acquire().await;
            turn.lock().await.push("read".to_owned());
            workflow::sleep(secs(1)).await;
        });
        while let Ok(Some(letter)) = workflow::timeout_at(self.until, self.letters.1.recv()).await {
            let mut all = self.turn.lock().await;
            all.push(letter);
            workflow::sleep(secs(1)).await;
            all.push("answered".to_owned());
        }
        let _ = reader.await;
        workflow::sleep_until(self.until).await;
        workflow::handlers_finished().await;
        workflow::select! {
            all = self.turn.lock() => all.clone(),
            _seat = self.seats.acquire() => Vec::new(),
        }
    }

    #[signal]
    async fn letter(&mut self, text: String) {
        if let Err(workflow::SendError(text)) = self.letters.0.send(text).await {
            self.turn.lock().await.push(text);
        }
    }

    #[query]
    fn free(&self) -> usize {
        self.seats.available_permits()
    }
}

fn main() {}
