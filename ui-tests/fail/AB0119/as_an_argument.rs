use abide::prelude::*;

#[derive(Default)]
struct Order {
    days: Vec<u64>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> usize {
        let all = futures::future::join_all(self.days.iter().map(async |day| *day)).await;
        all.len()
    }

    #[signal]
    async fn add(&mut self, day: u64) {
        let wait = vec![async move || workflow::sleep(secs(day)).await];
        wait[0]().await;
        self.days.push(day);
    }
}

fn main() {}
