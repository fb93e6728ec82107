//! Counts instructions and allocations instead of times: for one append, one activity, and one replay of
//! 10,000 events.
//!
//! Counts hardly depend on the machine or its other load, so a change of the hot path is visible even if it
//! is smaller than the noise of a time. Each scenario runs twice under valgrind, with few and with many
//! units. The difference, divided by the difference in units, is the cost of one unit without start-up. The
//! last counts are in `docs/benchmarks.md`; `--write` replaces them.

use crate::AnyResult;
use crate::workload::{self, Engine, RawSide, Workload};
use abide::prelude::*;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An increase over the last count is reported if it is greater, in percent. Two runs of one build differ by
/// less.
const NOISE: f64 = 5.0;

const BEGIN: &str = "<!-- counts -->";
const END: &str = "<!-- end of counts -->";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The page with the last counts.
    #[arg(long, default_value = "docs/benchmarks.md")]
    page: PathBuf,
    /// Writes the counts into the page.
    #[arg(long)]
    write: bool,
    /// The folder in which the databases are created. They are removed at the end.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct UnitArgs {
    scenario: Scenario,
    /// How many units.
    units: u32,
    /// The database.
    file: PathBuf,
}

/// The unit that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// One append by the writer, without an engine.
    Append,
    /// One activity of a workflow: scheduled, run, recorded, taken in.
    Activity,
    /// One replay of a history of 10,000 events.
    Replay,
}

impl Scenario {
    const ALL: [Self; 3] = [Self::Append, Self::Activity, Self::Replay];

    fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Activity => "activity",
            Self::Replay => "replay",
        }
    }

    /// The numbers of units of the two runs.
    fn units(self) -> (u32, u32) {
        match self {
            Self::Append | Self::Activity => (220, 1_320),
            Self::Replay => (2, 6),
        }
    }
}

/// One scenario's counts for one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    instructions: u64,
    allocations: u64,
}

/// Counts all scenarios, and prints the last counts beside them.
pub(crate) async fn run(args: &Args) -> AnyResult<()> {
    std::fs::create_dir_all(&args.dir)?;
    let page = std::fs::read_to_string(&args.page).unwrap_or_default();
    let (mut table, mut worse) = (String::new(), Vec::new());
    println!("{:<9} {:>13} {:>8} {:>12} {:>8}", "unit", "instructions", "", "allocations", "");
    for scenario in Scenario::ALL {
        let folder = tempfile::tempdir_in(&args.dir)?;
        let now = count(scenario, folder.path()).await?;
        let before = last(&page, scenario.name());
        let change = |of: fn(&Counts) -> u64| match &before {
            Some(before) => 100.0 * (of(&now) as f64 / of(before).max(1) as f64 - 1.0),
            None => 0.0,
        };
        let (instructions, allocations) = (change(|c| c.instructions), change(|c| c.allocations));
        println!(
            "{:<9} {:>13} {:>+7.1}% {:>12} {:>+7.1}%",
            scenario.name(),
            now.instructions,
            instructions,
            now.allocations,
            allocations
        );
        if instructions.max(allocations) > NOISE {
            worse.push(scenario.name());
        }
        table += &format!("| {} | {} | {} |\n", scenario.name(), now.instructions, now.allocations);
    }
    if args.write {
        return Ok(std::fs::write(&args.page, with(&page, &table)?)?);
    }
    match worse.is_empty() {
        true => Ok(()),
        false => Err(format!("{} costs more than by {}", worse.join(" and "), args.page.display()).into()),
    }
}

/// Reads a scenario's counts from the page.
fn last(page: &str, name: &str) -> Option<Counts> {
    let table = page.split_once(BEGIN)?.1.split_once(END)?.0;
    let row = table.lines().find_map(|line| line.strip_prefix(&format!("| {name} | ")))?;
    let mut numbers = row.split('|').map(str::trim).filter_map(|cell| cell.parse().ok());
    Some(Counts { instructions: numbers.next()?, allocations: numbers.next()? })
}

/// The page with this table.
fn with(page: &str, table: &str) -> AnyResult<String> {
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) =
        parts.ok_or("the page has no place for counts: two comments, `counts` and `end of counts`")?;
    let rows = "| unit | instructions | allocations |\n|---|--:|--:|\n";
    Ok(format!("{head}{BEGIN}\n\n{rows}{table}\n{END}{tail}"))
}

/// Counts one scenario in this folder.
async fn count(scenario: Scenario, folder: &Path) -> AnyResult<Counts> {
    let (few, many) = scenario.units();
    if scenario == Scenario::Replay {
        prepare(&folder.join("replay.db")).await?;
    }
    let of = |tool: &Tool| -> AnyResult<u64> {
        let run = |units: u32| {
            let name =
                if scenario == Scenario::Replay { "replay.db".to_owned() } else { format!("{units}.db") };
            tool.run(scenario, units, &folder.join(name))
        };
        Ok(run(many)?.saturating_sub(run(few)?) / u64::from(many - few))
    };
    Ok(Counts { instructions: of(&Tool::INSTRUCTIONS)?, allocations: of(&Tool::ALLOCATIONS)? })
}

/// One of valgrind's tools.
struct Tool {
    arguments: &'static [&'static str],
    /// The text before the number in its report.
    before: &'static str,
}

impl Tool {
    const INSTRUCTIONS: Self =
        Self { arguments: &["--tool=callgrind", "--callgrind-out-file=/dev/null"], before: "Collected :" };
    const ALLOCATIONS: Self =
        Self { arguments: &["--tool=dhat", "--dhat-out-file=/dev/null"], before: "bytes in" };

    fn run(&self, scenario: Scenario, units: u32, file: &Path) -> AnyResult<u64> {
        let missing = |error| {
            format!("valgrind cannot be run ({error}): install it, on Debian `apt-get install valgrind`")
        };
        let program = std::env::current_exe()?;
        let mut command = Command::new("valgrind");
        command.args(self.arguments).arg("--fair-sched=yes").arg(program).args(["unit", scenario.name()]);
        let ran = command.arg(units.to_string()).arg(file).output().map_err(missing)?;
        let report = String::from_utf8_lossy(&ran.stderr);
        if !ran.status.success() {
            return Err(format!("{} failed:\n{report}", scenario.name()).into());
        }
        let number = report.lines().find_map(|line| line.split_once(self.before)).map(|(_, rest)| rest);
        let digits = number.map(|rest| rest.trim().split(' ').next().unwrap_or_default().replace(',', ""));
        let count = digits.and_then(|digits| digits.parse().ok());
        count.ok_or_else(|| format!("valgrind's report has no `{}`:\n{report}", self.before).into())
    }
}

/// Creates a closed run with 10,000 events.
async fn prepare(file: &Path) -> AnyResult<()> {
    let engine = Engine::open(Abide::open(file).await?, Workload::W1, 100).await?;
    engine.long_history().await?;
    engine.close().await
}

/// Executes the units of one run under valgrind.
pub(crate) async fn unit(args: &UnitArgs) -> AnyResult<()> {
    let abide = Abide::open(&args.file).await?;
    match args.scenario {
        Scenario::Append => {
            let engine = Engine::open(abide.clone(), Workload::W2, 1).await?;
            let history = engine.history().await?;
            let appends = u32::try_from(history.len())?;
            engine.shutdown().await?;
            let raw = RawSide::open(abide, Workload::W2.name(), history).await?;
            for _ in 0..args.units / appends {
                crate::load::Side::one(&raw).await?;
            }
            raw.close().await
        }
        Scenario::Activity => {
            let engine = Engine::open(abide, Workload::W2, 1).await?;
            for _ in 0..args.units / Workload::W2.steps() {
                crate::load::Side::one(&engine).await?;
            }
            engine.close().await
        }
        Scenario::Replay => {
            let engine = Engine::open(abide, Workload::W1, 1).await?;
            for _ in 0..args.units {
                workload::ask(&engine).await?;
            }
            engine.close().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_and_read_again() {
        let page = format!("# A page\n\n{BEGIN}\n{END}\nMore.\n");
        let written = with(&page, "| append | 120 | 7 |\n| replay | 9 | 1 |\n").unwrap();
        assert_eq!(last(&written, "append"), Some(Counts { instructions: 120, allocations: 7 }));
        assert_eq!(last(&written, "replay"), Some(Counts { instructions: 9, allocations: 1 }));
        assert_eq!(last(&written, "activity"), None);
        assert!(written.ends_with(&format!("{END}\nMore.\n")));
        assert!(with("no place", "").is_err());
    }
}
