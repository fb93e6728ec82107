//! Converts the facts of a replay into its report: what differs, where, and in which words.

use super::cause::{self, Cause, Difference};
use super::difference;
use super::history::History;
use super::report::{Problem, Report};
use super::run::Facts;
use super::table::{self, Kind, Row};
use super::words;
use abide_core::exec::{Standing, Suspension};
use abide_core::{Code, Event, EventId, Site};

/// How many events a table shows before the first difference, and after it.
const SHOWN: u64 = 8;
/// How many awaits of the waiting code are shown in the marked row.
const WAITS_SHOWN: usize = 3;

/// The report on a replay of `history`.
pub(super) fn of(history: &History, facts: &Facts) -> Report {
    let view = View { events: history.events().collect(), history, facts };
    let problem = match &facts.standing {
        Standing::Suspended(reason) if reason.code == Code::Mismatch => {
            view.differs().or_else(|| Some(view.suspended(reason)))
        }
        Standing::Suspended(reason) => Some(view.suspended(reason)),
        Standing::Open | Standing::Closed => view.ends_otherwise(),
    };
    let mut report = Report::of(history, view.events.len() as u64);
    match problem {
        Some(problem) => report.fails(problem),
        None => report.passes(view.passed()),
    }
    for (id, name) in &facts.unknown_signals {
        report.remark(format!("signal `{name}` (event {id}): this code has no handler for it; it is kept"));
    }
    report
}

/// The report on a run whose type the replayer was not given.
pub(super) fn unknown_type(history: &History, known: &[&str]) -> Report {
    let name = history.workflow_type();
    let given = match known {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let mut report = Report::of(history, history.events().count() as u64);
    report.fails(Problem {
        code: Code::UnknownWorkflow.into(),
        matched: 0,
        headline: "is of a type that this replayer was not given".to_owned(),
        table: None,
        told: vec![
            ("Given", given),
            (
                "What to do",
                format!(
                    "give it with `.workflow(..)`; if the workflow was renamed, keep the recorded name: \
                     `#[workflow(name = \"{name}\")]`"
                ),
            ),
        ],
        alike: "unknown type".to_owned(),
    });
    report
}

/// The report on a run whose journal cannot be decoded.
pub(super) fn unreadable(history: &History, message: &str) -> Report {
    let mut report = Report::of(history, 0);
    report.fails(damaged(message, 0));
    report
}

fn damaged(message: &str, matched: u64) -> Problem {
    Problem {
        code: Code::Damaged.into(),
        matched,
        headline: "has a damaged journal".to_owned(),
        table: None,
        told: vec![
            ("What happened", message.to_owned()),
            ("What to do", "no code can repeat it: restore the database, or export the run again".to_owned()),
        ],
        alike: "damaged".to_owned(),
    }
}

struct View<'a> {
    history: &'a History,
    events: Vec<(u64, i64, &'a Event)>,
    facts: &'a Facts,
}

impl View<'_> {
    /// The problem if a command differs or is missing.
    fn differs(&self) -> Option<Problem> {
        let at = self.facts.met + 1;
        let expected = self.events.get(self.facts.met as usize).map(|(.., event)| *event)?;
        let asked = self.facts.trace.last.as_ref().filter(|(id, _)| id.0 == at).map(|(_, event)| event);
        let right = match asked {
            Some(event) => vec![words::asked(event, self.now_ms()), self.asked_at(at, event)],
            None => {
                let places = self.facts.awaiting.iter().take(WAITS_SHOWN).map(|site| words::place(site));
                let waits = if self.facts.awaiting.is_empty() { "it waits" } else { "it waits at" };
                std::iter::once(format!("nothing more: {waits}")).chain(places).collect()
            }
        };
        let (now_ms, history) = (self.now_ms(), &*self.events);
        let cause = Difference { expected, asked, at, now_ms, history }.cause();
        Some(self.problem(Code::Mismatch.as_str(), at, right, cause))
    }

    /// The problem if a closed run reached its end, but another end than the recorded one.
    fn ends_otherwise(&self) -> Option<Problem> {
        let at = self.facts.met;
        let (_, now) = self.facts.trace.last.as_ref()?;
        match self.facts.ends.as_ref()? {
            Ok((recorded, now)) if recorded.is_same(now) => None,
            Ok((was, is)) => {
                let why = "today's code comes to another result: its computation was changed, or what changes from run \
                           to run went into it";
                let details = difference::between(was, is);
                let cause = Cause { why: why.to_owned(), advice: cause::END.to_owned(), details };
                Some(self.problem(Code::Mismatch.as_str(), at, vec![words::asked(now, self.now_ms())], cause))
            }
            Err(message) => {
                let reason = format!("the recorded end does not decode as today's type: {message}");
                let right = vec!["cannot read it".to_owned()];
                Some(self.stopped(Code::Undecodable.as_str(), at, right, reason, DECODE.to_owned()))
            }
        }
    }

    /// The problem if the engine would suspend the run for another reason than a difference.
    fn suspended(&self, reason: &Suspension) -> Problem {
        let met = self.facts.met;
        let site = reason.site.as_ref().map(|site| site.replacen(" `", " ", 1));
        let site = site.map(|site| site.strip_suffix('`').unwrap_or(&site).to_owned());
        let (at, right, advice) = match Code::of(&reason.code) {
            Some(Code::Damaged) => return damaged(&reason.message, met),
            Some(Code::Undecodable) => (met.max(1), "cannot read it", DECODE),
            Some(Code::Panicked) => {
                // The site is the last await that was polled. The panic is in the code after it.
                let did = if site.is_some() { "panics after" } else { "panics" };
                (
                    met + 1,
                    did,
                    "mend the panic; a run that meets it would be suspended, and nothing of it lost",
                )
            }
            Some(Code::NeverWoken) => {
                (met + 1, "awaits what cannot wake it", "await the engine's own futures, and no others")
            }
            _ => (met + 1, "stops", "mend the cause"),
        };
        let right = std::iter::once(right.to_owned()).chain(site).collect();
        let message = match reason.message.split_once(". Deploy") {
            Some((what, _)) if reason.code == Code::Panicked => what.to_owned(),
            // The reader of a report has the history anyway, so the report may show values.
            _ => reason.told(true),
        };
        self.stopped(&reason.code, at, right, message, advice.to_owned())
    }

    fn stopped(&self, code: &str, at: u64, right: Vec<String>, why: String, advice: String) -> Problem {
        let cause = Cause { why, advice, details: Vec::new() };
        let mut problem = self.problem(code, at, right, cause);
        problem.told[0].0 = "What happened";
        problem
    }

    fn problem(&self, code: &str, at: u64, right: Vec<String>, cause: Cause) -> Problem {
        let Cause { why, advice, details } = cause;
        let alike = right.get(1).or(right.first()).cloned().unwrap_or_default();
        let mut told = vec![("Likely cause", why)];
        told.extend((!details.is_empty()).then(|| ("Differences", details.join("; "))));
        told.push(("What to do", advice));
        let total = self.events.len() as u64;
        let headline = match (code, at) {
            (_, at) if at > total => format!("cannot go on after its {total} recorded events"),
            (code, at) if code == Code::Mismatch => {
                format!("does not repeat its history: event {at} of {total} differs")
            }
            (_, at) => format!("cannot repeat its history: it stops at event {at} of {total}"),
        };
        let table = Some(self.table(at, right));
        Problem { code: code.to_owned(), matched: at - 1, headline, table, told, alike }
    }

    fn table(&self, at: u64, right: Vec<String>) -> String {
        let total = self.events.len() as u64;
        let (from, to) = (at.saturating_sub(SHOWN).max(1), at.saturating_add(SHOWN).min(total));
        let shown = self.events.iter().filter(|(number, ..)| (from..=to).contains(number));
        let mut rows: Vec<Row> = shown
            .map(|(number, at_ms, event)| Row {
                number: *number,
                kind: match number.cmp(&at) {
                    std::cmp::Ordering::Less => Kind::Same,
                    std::cmp::Ordering::Equal => Kind::Mark,
                    std::cmp::Ordering::Greater => Kind::Unreached,
                },
                left: vec![words::recorded(event, *at_ms)],
                right: if *number == at { right.clone() } else { self.site(*number, at) },
            })
            .collect();
        if at > total {
            let left = vec!["(the history ends here)".to_owned()];
            rows.push(Row { number: at, kind: Kind::Mark, left, right });
        }
        table::render(&rows, from - 1, total.saturating_sub(to))
    }

    /// The await that issued a repeated command.
    fn site(&self, number: u64, at: u64) -> Vec<String> {
        let site = self.site_of(number).filter(|_| number < at);
        site.map(|site| words::short_place(site, table::RIGHT)).into_iter().collect()
    }

    fn site_of(&self, number: u64) -> Option<&'static Site> {
        let sites = &self.facts.trace.sites;
        let found = sites.binary_search_by_key(&EventId(number), |(id, _)| *id).ok()?;
        sites[found].1
    }

    /// The await that issued the command. An end is not issued by an await, but comes after one.
    fn asked_at(&self, at: u64, event: &Event) -> String {
        let place = self.site_of(at).map(words::place).unwrap_or_default();
        if event.is_close() && !place.is_empty() { format!("after {place}") } else { place }
    }

    /// The workflow's time at the difference: the time of the last input that it received.
    fn now_ms(&self) -> i64 {
        let met = self.events.iter().take(self.facts.met as usize).rev();
        let mut inputs = met.filter(|(.., event)| !event.is_command());
        inputs.next().map_or(0, |(_, at_ms, _)| *at_ms)
    }

    /// Describes the state of a run that passes.
    fn passed(&self) -> String {
        match self.history.last() {
            Some(Event::Terminated { .. }) => return "up to its termination".to_owned(),
            Some(Event::TimedOut { .. }) => return "up to its time limit".to_owned(),
            _ => {}
        }
        if self.history.is_closed() {
            return "and ends as recorded".to_owned();
        }
        match (self.facts.awaiting.first(), self.facts.beyond) {
            (_, 1) => "and goes on with a step that is not recorded yet".to_owned(),
            (_, n) if n > 1 => format!("and goes on with {n} steps that are not recorded yet"),
            (Some(site), _) => format!("and waits at {}", words::place(site)),
            (None, _) => "and would end".to_owned(),
        }
    }
}

const DECODE: &str = "make today's type read the recorded shape: `#[serde(default)]` on a new field, `#[serde(alias = \
                      \"..\")]` on a renamed one, or a new name for the activity or workflow whose type changed";
