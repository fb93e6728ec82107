//! The output for people: the report on one run, and the summary of many.
//!
//! A report holds its texts but no history, so that many reports need little memory.

use super::history::History;
use super::table::{WIDTH, wrap};
use std::collections::BTreeMap;
use std::fmt;

/// The most lines of a paragraph. The rest is cut.
const PARAGRAPH_LINES: usize = 12;
/// How many reports of failing runs a summary keeps.
const KEPT: usize = 100;
/// How many remarks a summary keeps.
const REMARKS: usize = 20;

/// The result of replaying one run. Its `Display` is the report: plain text, at most 100 columns.
#[derive(Clone, Debug)]
#[must_use = "a report may tell of a run that cannot go on: `assert_ok()`"]
pub struct Report {
    workflow_type: String,
    workflow_id: String,
    run_id: String,
    task_queue: String,
    closed: bool,
    events: u64,
    outcome: Result<String, Problem>,
    remarks: Vec<String>,
}

/// Why a run cannot continue with the current code.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) matched: u64,
    pub(super) headline: String,
    pub(super) table: Option<String>,
    /// Paragraphs, each with its heading.
    pub(super) told: Vec<(&'static str, String)>,
    /// Equal for two runs of a type that fail in the same way.
    pub(super) alike: String,
}

impl Report {
    pub(super) fn of(history: &History, events: u64) -> Self {
        Self {
            workflow_type: history.workflow_type().to_owned(),
            workflow_id: history.workflow_id().to_owned(),
            run_id: history.run_id().to_owned(),
            task_queue: history.task_queue().to_owned(),
            closed: history.is_closed(),
            events,
            outcome: Ok(String::new()),
            remarks: Vec::new(),
        }
    }

    pub(super) fn fails(&mut self, problem: Problem) {
        self.outcome = Err(problem);
    }

    pub(super) fn passes(&mut self, how: String) {
        self.outcome = Ok(how);
    }

    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// Whether the current code repeats the history and can continue after it.
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Asserts that the run passes.
    ///
    /// # Panics
    /// With the report, if the run does not pass.
    #[track_caller]
    pub fn assert_ok(&self) {
        assert!(self.is_ok(), "{self}");
    }

    /// The code with which the engine would suspend the run. `None` if the run passes.
    pub fn code(&self) -> Option<&str> {
        self.outcome.as_ref().err().map(|problem| problem.code.as_str())
    }

    /// How many events the history has.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many events the current code repeated before the first difference.
    pub fn matched(&self) -> u64 {
        self.outcome.as_ref().err().map_or(self.events, |problem| problem.matched)
    }

    /// Information that is not a failure: signals in the history for which this code has no handler, and why
    /// a run is suspended in its database.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The name of the run's workflow type.
    pub fn workflow_type(&self) -> &str {
        &self.workflow_type
    }

    /// The workflow id.
    pub fn workflow_id(&self) -> &str {
        &self.workflow_id
    }

    /// The run id.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Equal for two runs that fail in the same way.
    fn kind(&self) -> (&str, Option<(&str, &str)>) {
        let problem = self.outcome.as_ref().err();
        (&self.workflow_type, problem.map(|problem| (problem.code.as_str(), problem.alike.as_str())))
    }

    fn name(&self) -> String {
        format!("`{}` {}", self.workflow_type, self.workflow_id)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.closed { "closed" } else { "open" };
        let about = format!("{state}, task queue {}, run {}", self.task_queue, self.run_id);
        match &self.outcome {
            Ok(how) => {
                let (name, events) = (self.name(), counted(self.events, "recorded event"));
                paragraph(f, "", &format!("ok: {name} repeats its {events} {how}"))?;
                paragraph(f, "    ", &about)?;
            }
            Err(problem) => {
                paragraph(f, "", &format!("{}: {} {}", problem.code, self.name(), problem.headline))?;
                paragraph(f, "    ", &about)?;
                match &problem.table {
                    Some(table) => write!(f, "\n{table}\n\n")?,
                    None => writeln!(f)?,
                }
                for (what, text) in &problem.told {
                    paragraph(f, "", &format!("{what}: {text}."))?;
                }
                paragraph(f, "", &format!("More about it: `cargo abide explain {}`", problem.code))?;
            }
        }
        self.remarks.iter().try_for_each(|remark| paragraph(f, "", &format!("Remark: {remark}.")))
    }
}

fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Writes lines of the report's width with this indent. Without an indent, only the lines after the first are
/// indented.
fn paragraph(f: &mut fmt::Formatter<'_>, indent: &str, text: &str) -> fmt::Result {
    let hanging = if indent.is_empty() { "    " } else { indent };
    // A first line without an indent could be wider. The narrower width is used for all lines.
    for (i, line) in wrap(text, WIDTH - hanging.len(), PARAGRAPH_LINES).iter().enumerate() {
        let indent = if i == 0 { indent } else { hanging };
        writeln!(f, "{indent}{line}")?;
    }
    Ok(())
}

/// The result of replaying a database's open runs. Its `Display` is a summary: the full report on the first
/// run of each kind of failure, and the names of the others.
#[derive(Clone, Debug, Default)]
#[must_use = "it may tell of runs that cannot go on: `assert_ok()`"]
pub struct Reports {
    replayed: u64,
    failed: u64,
    kept: Vec<Report>,
    remarks: Vec<String>,
    more_remarks: u64,
    others: BTreeMap<String, u64>,
}

impl Reports {
    pub(super) fn add(&mut self, report: Report) {
        self.replayed += 1;
        for remark in &report.remarks {
            match self.remarks.len() < REMARKS {
                true => self.remarks.push(format!("{}: {remark}", report.name())),
                false => self.more_remarks += 1,
            }
        }
        if report.is_ok() {
            return;
        }
        self.failed += 1;
        if self.kept.len() < KEPT {
            self.kept.push(report);
        }
    }

    /// Counts a run of a type that the replayer was not given.
    pub(super) fn pass_over(&mut self, workflow_type: String) {
        *self.others.entry(workflow_type).or_default() += 1;
    }

    /// Whether every replayed run passed. Also true if there was none: see [`Reports::replayed`].
    pub fn is_ok(&self) -> bool {
        self.failed == 0
    }

    /// Asserts that every run passed.
    ///
    /// # Panics
    /// With the summary, if a run did not pass.
    #[track_caller]
    pub fn assert_ok(&self) {
        assert!(self.is_ok(), "{self}");
    }

    /// How many runs were replayed.
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// How many of the replayed runs did not pass.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// The reports on the runs that did not pass: the first 100.
    pub fn failures(&self) -> &[Report] {
        &self.kept
    }

    /// The kept reports, grouped by kind of failure, in the order of each kind's first report.
    fn kinds(&self) -> Vec<Vec<&Report>> {
        let mut kinds: Vec<Vec<&Report>> = Vec::new();
        for report in &self.kept {
            match kinds.iter_mut().find(|kind| kind[0].kind() == report.kind()) {
                Some(reports) => reports.push(report),
                None => kinds.push(vec![report]),
            }
        }
        kinds
    }
}

impl fmt::Display for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failed {
            0 => writeln!(f, "ok: this code can go on with {}", counted(self.replayed, "open run"))?,
            failed => {
                writeln!(f, "this code cannot go on with {failed} of {}", counted(self.replayed, "open run"))?
            }
        }
        for kind in self.kinds() {
            let Some((first, alike)) = kind.split_first() else { continue };
            write!(f, "\n{first}")?;
            for report in alike {
                let (name, events) = (report.name(), counted(report.matched(), "event"));
                paragraph(f, "", &format!("The same: {name}, {events} repeated, run {}", report.run_id))?;
            }
        }
        let left_out = self.failed - self.kept.len() as u64;
        if left_out > 0 {
            writeln!(f, "\nand {left_out} more that are not kept: mend these first")?;
        }
        for (name, runs) in &self.others {
            let runs = counted(*runs, "open run");
            paragraph(f, "", &format!("Not looked at: {runs} of `{name}`, which was not given"))?;
        }
        self.remarks.iter().try_for_each(|remark| paragraph(f, "", &format!("Remark: {remark}.")))?;
        match self.more_remarks {
            0 => Ok(()),
            more => writeln!(f, "and {more} more remarks"),
        }
    }
}
