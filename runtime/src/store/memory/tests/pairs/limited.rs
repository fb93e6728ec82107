//! A task queue where one task may run at once.

use super::super::super::write::TaskRow;
use super::*;

impl Stage {
    /// Two tasks in a task queue where one may run at once.
    pub(super) async fn limit(&self) {
        let one = WorkerLimit { activity: "step".to_owned(), most: Some(1), rate: None };
        self.process.store.set_limits("limited".to_owned(), vec![one]).await.unwrap();
        let place =
            |n: u64| Place { limit_key: "step".to_owned(), fair_key: n.to_string(), ..Place::default() };
        let task = |n| NewTask { place: place(n), ..self.task(EventId(n), 1, Some("limited")) };
        let (tasks, execution) = ([task(50), task(51)], self.owned);
        self.alone(move |st| {
            for task in tasks.clone() {
                let nonce = st.new_nonce();
                let row = TaskRow {
                    execution,
                    task,
                    owner: None,
                    cancel: false,
                    nonce,
                    beat_at_ms: None,
                    handed: false,
                    end_by_ms: None,
                    beat_by_ms: None,
                };
                st.write(Write::Task(Box::new(row)));
            }
            Ok(())
        })
        .await;
    }
}
