//! A report each night: a schedule with a time zone, what happens when a report takes longer than a day, and nights
//! that are caught up after the service was down.
//!
//! ```sh
//! cargo run --example nightly
//! ```
//!
//! It makes the report of three nights that are over, says when the next ones come, and waits for them until Ctrl-C.
//! Run it again on another day: it makes the reports of all nights since.
//!
//! `NIGHTLY_DIR` is the folder of its database and of the reports. Default: `target/nightly`.

use abide::jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use abide::prelude::*;
use std::fs;
use std::io;
use std::path::PathBuf;

const QUEUE: &str = "reports";
const ZONE: &str = "Europe/Berlin";

/// Reports on the day before its night. The slot is the night for which it was started, however late it runs: a report
/// that is caught up is the same as one that was in time.
#[workflow]
async fn report() -> Result<String, ActivityError<ReportError>> {
    let slot = workflow::info().scheduled_at.unwrap_or_else(workflow::now);
    let orders = Office::count_orders(slot).await?;
    Office::write(slot, format!("{orders} orders")).await
}

#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("the office: {0}")]
struct ReportError(String);

impl From<io::Error> for ReportError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Where the numbers come from, and where the reports go.
struct Office {
    reports: PathBuf,
}

#[activity(start_to_close = "30s", retry(initial_interval = "200ms"))]
impl Office {
    /// The orders of the day before this time. They depend on the time alone.
    async fn count_orders(&self, before: Timestamp) -> Result<u64, ReportError> {
        Ok(before.as_second().unsigned_abs() % 97)
    }

    /// One file for each slot: a call that comes again writes it again.
    #[activity]
    fn write(&self, slot: Timestamp, text: String) -> Result<String, ReportError> {
        let day = slot.to_zoned(TimeZone::UTC).date();
        fs::write(self.reports.join(format!("{day}.txt")), &text)?;
        println!("{day}: {text}");
        Ok(text)
    }
}

/// Creates the schedule, once: each process that starts calls this.
async fn nightly(client: &Client) -> Result<Schedule<report>, Error> {
    let created = client
        .schedule("nightly", client.start(report()).task_queue(QUEUE).run_timeout(hours(20)))
        // 3:30 at night, summer and winter. In the night in which clocks go forward there is a 3:30, but no 2:30.
        .cron("30 3 * * *")
        .zone(ZONE)
        // New Year's night has no business day before it.
        .exclude(Calendar::whole_day().month(1).day_of_month(1))
        // No two reports at once: nights that come while one is being made, or all at once after the service was down,
        // wait in their order.
        .overlap(Overlap::BufferAll)
        // After a week the numbers are in the weekly report.
        .catch_up(days(7))
        .jitter(mins(5))
        .note("the report of the night before")
        .await;
    match created {
        Err(Error::ScheduleExists { id }) => Ok(client.schedule_handle(id)),
        created => created,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::var_os("NIGHTLY_DIR").map_or_else(|| "target/nightly".into(), PathBuf::from);
    let reports = dir.join("reports");
    fs::create_dir_all(&reports)?;
    let abide = Abide::open(dir.join("nightly.db")).await?;
    let worker = abide.worker(QUEUE).workflow(report).activities(Office { reports }).start().await?;
    let nightly = nightly(&abide.client()).await?;

    if nightly.describe().await?.counts.started == 0 {
        // The nights before the schedule was there.
        let now = Timestamp::now();
        let first = Zoned::new(now, TimeZone::UTC).checked_sub(3.days())?.timestamp();
        nightly.backfill(first..=now, Overlap::AllowAll).await?;
    }
    let described = nightly.describe().await?;
    let next: Vec<String> = described.next.iter().take(3).map(Timestamp::to_string).collect();
    println!("the next nights: {}", next.join(", "));
    tokio::signal::ctrl_c().await?;
    worker.shutdown().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn each_night_of_a_year_has_its_report() -> Result<(), Failure> {
        let env = TestEnv::builder().start_at("2026-01-01T12:00:00Z".parse()?).start().await?;
        let orders = mock(Office::count_orders, |_: Timestamp| Ok(7));
        let written = mock(Office::write, |_: Timestamp, text: String| Ok(text));
        let worker = env.worker(QUEUE).workflow(report).mock(&orders).mock(&written).start().await?;
        let nightly = nightly(&env.client()).await?;
        env.sleep(days(365)).await;
        written.assert_called(364); // New Year's night is left out
        let slots: Vec<Timestamp> = written.calls().into_iter().map(|(slot, _)| slot).collect();
        let winter: Timestamp = "2026-02-01T02:30:00Z".parse()?;
        let summer: Timestamp = "2026-08-01T01:30:00Z".parse()?;
        assert!(slots.contains(&winter) && slots.contains(&summer), "3:30 in Berlin, all year");
        assert_eq!(nightly.describe().await?.counts.started, 364);
        Ok(worker.shutdown().await?)
    }

    #[tokio::test]
    async fn nights_without_the_service_are_caught_up_for_a_week() -> Result<(), Failure> {
        let env = TestEnv::builder().start_at("2026-03-01T12:00:00Z".parse()?).start().await?;
        let orders = mock(Office::count_orders, |_: Timestamp| Ok(7));
        let written = mock(Office::write, |_: Timestamp, text: String| Ok(text));
        let nightly = nightly(&env.client()).await?;
        env.sleep(days(10)).await;
        written.assert_called(0);
        let worker = env.worker(QUEUE).workflow(report).mock(&orders).mock(&written).start().await?;
        env.sleep(hours(1)).await;
        let counts = nightly.describe().await?.counts;
        assert_eq!(counts.missed, 3);
        assert_eq!(written.calls().len() as u64, counts.started);
        Ok(worker.shutdown().await?)
    }
}
