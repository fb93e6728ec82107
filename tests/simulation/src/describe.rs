//! Prints programs for people: one step per line, with its inner steps below it.

use crate::act::{Act, Cancellation, Deed, How, OnError, Options, Place, Role};
use crate::program::{Child, Program, Step};
use crate::revision::{Change, Revision};
use std::fmt;

/// Prints steps, indented by their depth.
pub(crate) fn steps(f: &mut fmt::Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
    let indent = "  ".repeat(depth);
    for step in steps {
        writeln!(f, "{indent}{}", head(step))?;
        match step {
            Step::Fan { acts, .. } => {
                acts.iter().try_for_each(|act| writeln!(f, "{indent}  {}", of_act(act)))?;
            }
            Step::Saga { legs, .. } => {
                for leg in legs {
                    writeln!(f, "{indent}  {}", of_act(&leg.act))?;
                    writeln!(f, "{indent}    undone by {}", of_act(&leg.undo))?;
                }
            }
            Step::Child(child) => self::program(f, &child.program, depth + 1)?,
            Step::Join { branches } | Step::TryJoin { branches } | Step::Select { branches } => {
                for (number, branch) in branches.iter().enumerate() {
                    writeln!(f, "{indent}  branch {number}")?;
                    self::steps(f, branch, depth + 2)?;
                }
            }
            _ => step.bodies().into_iter().try_for_each(|body| self::steps(f, body, depth + 1))?,
        }
    }
    Ok(())
}

/// Prints the steps of a program and of the runs that go on for it.
pub(crate) fn program(f: &mut fmt::Formatter<'_>, program: &Program, depth: usize) -> fmt::Result {
    if !program.terms.is_plain() {
        writeln!(f, "{}{:?}", "  ".repeat(depth), program.terms)?;
    }
    steps(f, &program.steps, depth)?;
    for life in &program.lives {
        writeln!(f, "{}continues as new", "  ".repeat(depth))?;
        steps(f, life, depth)?;
    }
    Ok(())
}

/// Prints what the second release does differently.
pub(crate) fn revision(f: &mut fmt::Formatter<'_>, revision: &Revision) -> fmt::Result {
    let Revision { at, change } = revision;
    match change {
        Change::Add(step) => writeln!(f, "  before step {at} the second release adds: {}", head(step)),
        Change::LeaveOut => writeln!(f, "  the second release leaves out step {at}"),
        Change::Mend => writeln!(f, "  before step {at} the first release panics"),
    }
}

fn head(step: &Step) -> String {
    match step {
        Step::Act(act) => of_act(act),
        Step::Sleep { ms } => format!("sleep {ms}"),
        Step::Timeout { ms, .. } => format!("timeout {ms}"),
        Step::Until { pokes, ms: None } => format!("until {pokes} pokes"),
        Step::Until { pokes, ms: Some(ms) } => format!("until {pokes} pokes, at most {ms}"),
        Step::Join { .. } => "join".to_owned(),
        Step::TryJoin { .. } => "try_join".to_owned(),
        Step::Fan { how, .. } => format!("{how:?} of"),
        Step::Select { .. } => "select".to_owned(),
        Step::Spawn { then, .. } => format!("spawn, then {then:?}"),
        Step::Draw { what, act } => format!("draw {what:?} for {}", of_act(act)),
        Step::Saga { saga, end, .. } => format!("saga {saga}, then {end:?}"),
        Step::Shield { .. } => "shielded".to_owned(),
        Step::Cancelled => "until cancelled".to_owned(),
        Step::Tell { to, n } => format!("poke {n} to {to}"),
        Step::Child(child) => of_child(child),
        Step::Publish { n } => format!("publish {n}"),
        Step::Return => "return".to_owned(),
        Step::Fail { code } => format!("fail with {code}"),
        Step::Falter { before, code } => format!("fail with {code} before attempt {before}"),
        Step::Panic => "panic".to_owned(),
    }
}

fn of_child(child: &Child) -> String {
    let Child { program, id, hold, close, cancellation } = child;
    let id = id.as_deref().unwrap_or("without an id");
    format!("child {} ({id}), {hold:?}, when this closes: {close:?}, cancel: {cancellation:?}", program.name)
}

fn of_act(act: &Act) -> String {
    let deeds: Vec<String> = act.deeds.iter().map(of_deed).collect();
    let mut text = format!("act {} ({})", act.label, deeds.join(", then "));
    let Options { start_to_close, schedule_to_close, schedule_to_start, max_attempts, .. } = &act.options;
    let limits = [("start", start_to_close), ("all", schedule_to_close), ("wait", schedule_to_start)];
    for (name, ms) in limits {
        ms.iter().for_each(|ms| text.push_str(&format!(", {name} <= {ms}")));
    }
    if *max_attempts != 0 {
        text.push_str(&format!(", {max_attempts} attempts"));
    }
    match act.options.place {
        Place::Here => {}
        place => text.push_str(&format!(", {place:?}")),
    }
    match act.options.cancellation {
        Cancellation::Try => {}
        other => text.push_str(&format!(", cancel: {other:?}")),
    }
    if let Role::Leg { saga } | Role::Undo { saga } = act.role {
        text.push_str(&format!(", saga {saga}"));
    }
    if act.items > 0 {
        text.push_str(&format!(", publishes {}", act.items));
    }
    if act.on_error == OnError::Raise {
        text.push('?');
    }
    text
}

fn of_deed(deed: &Deed) -> String {
    let heeds = if deed.heeds { ", heeds its token" } else { "" };
    match deed.how {
        How::Hang => "hang".to_owned(),
        how => format!("{how:?} after {}{heeds}", deed.ms),
    }
}
