use abide::prelude::*;

#[derive(Default)]
struct Order {
    approved: bool,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> bool {
        let deadline = workflow::now() + hours(1);
        workflow::until!(workflow::now() > deadline).await;
        workflow::until!(self.approved || matches!(workflow::now(), now if now > deadline)).await;
        workflow::until!(self.approved && abide::workflow::now() > deadline).timeout(days(1)).await.is_ok()
    }

    #[signal]
    fn approve(&mut self) {
        self.approved = true;
    }
}

fn main() {}
