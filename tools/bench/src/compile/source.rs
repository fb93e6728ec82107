//! The sources to compile: workflows of about thirty lines each, as in real code. They use nothing that only
//! `#[workflow]` can generate, so that the same bodies also compile as plain `async fn`s.

/// The attribute of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `#[workflow]`: all checks.
    Checked,
    /// `#[workflow(no_probes)]`: without the checks that need types.
    NoProbes,
    /// No attribute: only rustc.
    Plain,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Checked, Self::NoProbes, Self::Plain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Checked => "#[workflow]",
            Self::NoProbes => "#[workflow(no_probes)]",
            Self::Plain => "plain async fn",
        }
    }

    /// The text without the attributes that this form does not have.
    fn apply(self, text: &str) -> String {
        match self {
            Self::Checked => text.to_owned(),
            Self::NoProbes => text.replace("#[workflow]", "#[workflow(no_probes)]"),
            Self::Plain => ["#[workflow]", "#[run]", "#[signal]", "#[query]"]
                .iter()
                .fold(text.to_owned(), |text, attribute| text.replace(attribute, "")),
        }
    }
}

const HEAD: &str = r#"#![allow(dead_code)]
use abide::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[activity(start_to_close = "30s")]
pub async fn charge(name: String, cents: u64) -> Result<u64, Failure> {
    if name.is_empty() { Err(Failure::new("no name")) } else { Ok(cents) }
}
"#;

const STATE: &str = "
#[derive(Default)]
pub struct Order {
    total: u64,
    names: Vec<String>,
    index: HashMap<String, u64>,
    sums: BTreeMap<String, u64>,
    approved: Option<bool>,
}
";

/// A method of 27 lines; `@` is its number.
const METHOD: &str = r#"
    async fn step_@(&mut self, name: String, cents: u64) -> Result<u64, Failure> {
        let started = workflow::now();
        self.names.push(name.clone());
        for (number, name) in self.names.iter().enumerate() {
            *self.sums.entry(name.clone()).or_default() += cents + number as u64;
        }
        let known = self.index.get(&name).copied().unwrap_or_default();
        let receipt = charge(name.clone(), cents + known).start_to_close(secs(5)).await?;
        self.index.insert(format!("{name}-{receipt:04}"), receipt);
        if self.approved == Some(false) {
            return Err(Failure::new(format!("{name} was refused after {receipt}")));
        }
        let (a, b) = workflow::try_join!(charge(name.clone(), 1), charge(name.clone(), 2))?;
        let late = workflow::timeout(mins(@), charge(name.clone(), a + b)).await;
        let late = match late {
            Ok(paid) => paid?,
            Err(_) => 0,
        };
        while self.total < late && !self.names.is_empty() {
            self.total += self.sums.values().sum::<u64>() / 2;
            workflow::sleep(secs(self.total)).await;
        }
        let waited = workflow::now().duration_since(started).as_secs();
        Ok(late.max(u64::try_from(waited)?) + self.total)
    }
"#;

/// One file with one workflow. `salt` is a number in its body, which an edit changes.
pub(crate) fn module(form: Form, salt: usize) -> String {
    format!("{HEAD}{STATE}{}", form.apply(&workflow(1, salt)))
}

/// An `impl` of at least `lines` lines, as the macro receives it: without its own attribute.
pub(crate) fn long_workflow(lines: usize) -> String {
    workflow(lines.div_ceil(METHOD.lines().count()), 0).replace("#[workflow]", "")
}

fn workflow(methods: usize, salt: usize) -> String {
    let bodies: String = (0..methods).map(|number| METHOD.replace('@', &number.to_string())).collect();
    format!(
        "\n#[workflow]\nimpl Order {{\n    #[run]\n    \
         async fn run(&mut self, name: String) -> Result<u64, Failure> {{\n        \
         self.step_0(name, {salt}).await\n    }}\n\n    #[signal]\n    \
         fn approve(&mut self, yes: bool) {{\n        self.approved = Some(yes);\n    }}\n\n    \
         #[query]\n    fn total(&self) -> u64 {{\n        self.total\n    }}\n{bodies}}}\n"
    )
}

/// A program that expands the workflow in a file, and prints the median and the least time in microseconds.
pub(crate) const EXPAND: &str = r#"
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("workflow.rs")?;
    let mut times = Vec::new();
    for _ in 0..21 {
        // Parsing the text is rustc's work; the macro gets tokens.
        let tokens: proc_macro2::TokenStream = text.parse()?;
        let started = std::time::Instant::now();
        let expanded = abide_analysis::workflow(proc_macro2::TokenStream::new(), tokens);
        times.push(started.elapsed().as_micros());
        assert!(!expanded.is_empty());
    }
    times.sort_unstable();
    println!("{} {}", times[times.len() / 2], times[0]);
    Ok(())
}
"#;
