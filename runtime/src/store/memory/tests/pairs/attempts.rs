//! What ends attempts or keeps them alive.

use super::*;

impl Stage {
    pub(super) async fn attempts(&self, session: &mut Session, op: &str) -> Result<String, Failure> {
        match op {
            "Beat" => self.tell(session).await,
            "Finish" => match session.run(|st| task::finish(st, self.other, self.remote, "{}")).await? {
                Ended::Fenced => Ok(refused(Kind::Fenced)),
                ended => Ok(of(matches!(ended, Ended::By(..)))),
            },
            "HandOut" => {
                let out = HandOut { key: self.remote, end_in_ms: None, beat_in_ms: None, details: None };
                match session.run(|st| handed::hand_out(st, self.other, &out)).await? {
                    None => Ok(refused(Kind::Fenced)),
                    Some(handed) => Ok(of(handed)),
                }
            }
            "CompleteByToken" => {
                let ended = session.run(|st| handed::end(st, self.remote, "{}")).await?;
                Ok(of(ended.is_some()))
            }
            other => panic!("{other} ends no attempt"),
        }
    }

    /// A heartbeat of the attempt that the owner runs.
    async fn tell(&self, session: &mut Session) -> Result<String, Failure> {
        let key = TaskKey { execution: self.owned, activity: LOCAL, attempt: 1, nonce: 0 };
        let told = [Beat { key, details: "7".to_owned(), at_ms: 1 }];
        match session.run(|st| task::beat(st, self.process.me, &told)).await? {
            None => Ok(refused(Kind::Fenced)),
            Some(kept) => Ok(of(!kept.is_empty())),
        }
    }
}
