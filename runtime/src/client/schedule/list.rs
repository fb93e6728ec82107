//! Lists schedules, a page at a time.

use super::parts::Parts;
use crate::client::Client;
use crate::client::time::timestamp;
use crate::error::Result;
use crate::future::BoxFuture;
use crate::store::{SCHEDULES_A_PAGE, ScheduleRow};
use jiff::Timestamp;
use std::future::IntoFuture;

impl Client {
    /// Lists schedules by their ids, 100 to a page.
    ///
    /// ```
    /// # async fn demo(client: abide::Client) -> abide::Result<()> {
    /// let mut page = client.schedules().await?;
    /// loop {
    ///     for schedule in &page.schedules {
    ///         println!("{} {:?}", schedule.id, schedule.next_at);
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     page = client.schedules().after(next).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn schedules(&self) -> ListSchedules {
        ListSchedules { client: self.clone(), limit: 100, after: None }
    }
}

/// A list of schedules about to be read. Set its options, then `.await` it for a [`SchedulePage`].
#[must_use = "nothing is read until it is awaited"]
pub struct ListSchedules {
    client: Client,
    limit: u32,
    after: Option<ScheduleCursor>,
}

impl ListSchedules {
    /// How many schedules a page holds, 1 to 1,000. Default: 100.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, SCHEDULES_A_PAGE);
        self
    }

    /// Continues where a page ended: its [`SchedulePage::next`].
    pub fn after(mut self, cursor: ScheduleCursor) -> Self {
        self.after = Some(cursor);
        self
    }
}

impl IntoFuture for ListSchedules {
    type Output = Result<SchedulePage>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let after = self.after.map(|cursor| cursor.0);
            let rows = self.client.abide.store().schedules(after, self.limit).await?;
            let is_full = rows.len() >= self.limit as usize;
            let next = rows.last().filter(|_| is_full).map(|row| ScheduleCursor(row.id.clone()));
            let schedules = rows.into_iter().map(ScheduleSummary::of).collect();
            Ok(SchedulePage { schedules, next })
        })
    }
}

/// The position where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleCursor(String);

/// A page of schedules, ordered by their ids.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SchedulePage {
    /// The schedules.
    pub schedules: Vec<ScheduleSummary>,
    /// Where the next page begins; `None` on the last one. The last page may be empty.
    pub next: Option<ScheduleCursor>,
}

/// One schedule in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleSummary {
    /// Its id.
    pub id: String,
    /// The name of the workflow type that it starts. `None`: a newer release has written it, and this one cannot read
    /// it.
    pub workflow_type: Option<String>,
    /// Whether it is paused.
    pub paused: bool,
    /// The last note.
    pub note: Option<String>,
    /// When it starts its next run, or looks for it. `None`: it is paused, or no slot is left.
    pub next_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl ScheduleSummary {
    fn of(row: ScheduleRow) -> Self {
        Self {
            workflow_type: Parts::of(&row).ok().map(|parts| parts.action.workflow_type),
            id: row.id,
            paused: row.paused,
            note: row.note,
            next_at: row.next_at_ms.map(timestamp),
            created_at: timestamp(row.created_at_ms),
        }
    }
}
