use abide::prelude::*;

#[derive(Default)]
struct Order {
    notes: Vec<String>,
}

#[tracing::instrument(fields(draw = workflow::random::<u64>()))]
fn helps(n: usize) -> usize {
    n
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> usize {
        workflow::until!(!self.notes.is_empty()).await;
        helps(self.notes.len())
    }

    #[signal]
    #[tracing::instrument(level = "debug", skip_all, fields(id = %workflow::uuid()))]
    fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

fn main() {}
