//! A result as a line of the table or of JSON.

use crate::load::Measured;
use crate::workload::Workload;
use serde::Serialize;
use std::fmt;

/// One measurement. `per_s` counts workflows, also if each has ten steps.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    workload: &'static str,
    store: &'static str,
    in_flight: usize,
    per_s: f64,
    raw_per_s: f64,
    ratio: f64,
    commits_per_workflow: f64,
    p50_ms: f64,
    p99_ms: f64,
    raw_p50_ms: f64,
    #[serde(skip)]
    steps: u32,
}

impl Line {
    /// The head of the table.
    pub(crate) const HEAD: &str = "workload  store   in flight  workflows/s   steps/s  raw workflows/s  ratio  \
                            commits/workflow  p50 ms  p99 ms  raw p50 ms";

    /// Combines the results of both sides.
    pub(crate) fn new(
        workload: Workload,
        store: &'static str,
        in_flight: usize,
        ours: &mut Measured,
        theirs: &mut Measured,
        commits: u64,
    ) -> Self {
        let (per_s, raw_per_s) = (ours.per_s(), theirs.per_s());
        Self {
            workload: workload.name(),
            store,
            in_flight,
            per_s: rounded(per_s, 1),
            raw_per_s: rounded(raw_per_s, 1),
            ratio: rounded(per_s / raw_per_s.max(f64::EPSILON), 3),
            commits_per_workflow: rounded(commits as f64 / ours.count().max(1) as f64, 3),
            p50_ms: rounded(ours.percentile_ms(0.5), 3),
            p99_ms: rounded(ours.percentile_ms(0.99), 3),
            raw_p50_ms: rounded(theirs.percentile_ms(0.5), 3),
            steps: workload.steps(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.per_s * f64::from(self.steps);
        write!(
            f,
            "{:<9} {:<7} {:>9}  {:>11.0} {:>9.0}  {:>15.0}  {:>5.2}  {:>16.2}  {:>6.2}  {:>6.2}  {:>10.2}",
            self.workload,
            self.store,
            self.in_flight,
            self.per_s,
            steps,
            self.raw_per_s,
            self.ratio,
            self.commits_per_workflow,
            self.p50_ms,
            self.p99_ms,
            self.raw_p50_ms,
        )
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}
