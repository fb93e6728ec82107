use abide::prelude::*;

#[derive(Default)]
struct Order {
    approved: Option<bool>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, limit: u32) -> u32 {
        let approved = self.approved;
        workflow::until!(approved.is_some()).await;
        workflow::until!(approved == Some(true) && limit > 3).await;
        workflow::until!(matches!(approved, Some(true))).await;
        let ready = async move { workflow::until!(approved.is_some_and(|yes| yes)).await };
        ready.await;
        self.wait(limit).await;
        limit
    }

    async fn wait(&self, limit: u32) {
        workflow::until!(limit > 0).await;
    }

    #[signal]
    fn approve(&mut self) {
        self.approved = Some(true);
    }
}

fn main() {}
