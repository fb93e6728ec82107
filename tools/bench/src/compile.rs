//! Measures what the checks cost at compile time: `cargo run --release -p bench -- compile`.
//!
//! It generates a crate of workflows and runs `cargo check` on it in three forms, in turns: with
//! `#[workflow]`, with `#[workflow(no_probes)]`, and as plain `async fn`s without either. The difference from
//! the last form is the cost of the whole attribute: expansion, await guard, checks, and rustc's work on the
//! generated code. There is no switch that turns only the checks off.

mod source;

use crate::AnyResult;
use serde::Serialize;
use source::Form;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many workflows, each in its own file.
    #[arg(long, default_value_t = 50)]
    workflows: usize,
    /// How often each form is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The number of lines of the workflow whose expansion is timed.
    #[arg(long, default_value_t = 1_000)]
    lines: usize,
    /// The folder in which the crates are created and kept, with their build results.
    #[arg(long, default_value = "target/bench/compile")]
    dir: PathBuf,
    /// Prints one JSON object per line instead of sentences.
    #[arg(long)]
    json: bool,
}

/// The times of one form, in seconds.
#[derive(Serialize)]
struct Checked {
    form: &'static str,
    workflows: usize,
    /// Nothing of the crate is cached, but its dependencies are.
    clean_s: f64,
    /// The least of these times: an estimate for a machine that does nothing else.
    clean_best_s: f64,
    /// One number in one workflow was changed, and rustc's incremental cache is warm.
    edit_s: f64,
}

#[derive(Serialize)]
struct Expanded {
    profile: &'static str,
    lines: usize,
    expansion_ms: f64,
    best_ms: f64,
}

pub(crate) fn run(args: &Args) -> AnyResult<()> {
    fs::create_dir_all(&args.dir)?;
    let dir = fs::canonicalize(&args.dir)?;
    let mut plain = None;
    if !args.json {
        println!(
            "cargo check of {} workflows, median of {} (plain: the same bodies, no attribute)",
            args.workflows, args.rounds
        );
        println!("{:<24} {:>9} {:>9} {:>9} {:>13}", "form", "clean s", "x plain", "best s", "one edit s");
    }
    for checked in check(args, &dir)?.iter().rev() {
        let plain = *plain.get_or_insert(checked.clean_s);
        if args.json {
            println!("{}", serde_json::to_string(checked)?);
        } else {
            let Checked { form, clean_s, clean_best_s, edit_s, .. } = checked;
            println!("{form:<24} {clean_s:>9.2} {:>9.2} {clean_best_s:>9.2} {edit_s:>13.2}", clean_s / plain);
        }
    }
    for expanded in expand(args, &dir)? {
        if args.json {
            println!("{}", serde_json::to_string(&expanded)?);
        } else {
            let Expanded { profile, lines, expansion_ms, best_ms } = expanded;
            println!(
                "expansion of one workflow of {lines} lines, abide-analysis in {profile}: {expansion_ms:.1} \
                 ms, best {best_ms:.1} ms"
            );
        }
    }
    if !args.json {
        println!(
            "(expansion: the library called directly, outside of rustc; users' macros are built in debug by default)"
        );
    }
    Ok(())
}

/// Checks all forms in turns, so that other load on the machine affects each.
fn check(args: &Args, dir: &Path) -> AnyResult<Vec<Checked>> {
    let mut crates = Vec::new();
    for (number, form) in Form::ALL.into_iter().enumerate() {
        let folder = dir.join(format!("form_{number}"));
        write_crate(&folder, form, args.workflows)?;
        // Not counted: it compiles the dependencies. A build without `no_probes` refuses that form.
        let warm = cargo(&folder, &["check", "--quiet"], true);
        match warm.and_then(|_| cargo(&folder, &["check", "--quiet"], false)) {
            Ok(_) => crates.push((form, folder, Vec::new(), Vec::new())),
            Err(error) if form == Form::NoProbes => {
                // The first line of rustc is the second line here.
                let why = error.to_string();
                eprintln!("`{}` is left out: {}", form.name(), why.lines().nth(1).unwrap_or("?"));
            }
            Err(error) => return Err(error),
        }
    }
    for round in 0..args.rounds.max(1) {
        for (form, folder, clean, edit) in &mut crates {
            fs::write(folder.join("src/order_0.rs"), source::module(*form, 2 * round + 1))?;
            clean.push(timed(folder, false)?);
            // With the cache of the last edit.
            fs::write(folder.join("src/order_0.rs"), source::module(*form, 2 * round + 2))?;
            edit.push(timed(folder, true)?);
        }
    }
    let checked = crates.into_iter().map(|(form, _, clean, edit)| Checked {
        form: form.name(),
        workflows: args.workflows,
        clean_best_s: clean.iter().copied().fold(f64::INFINITY, f64::min),
        clean_s: median(clean),
        edit_s: median(edit),
    });
    Ok(checked.collect())
}

fn write_crate(folder: &Path, form: Form, workflows: usize) -> AnyResult<()> {
    fs::create_dir_all(folder.join("src"))?;
    let runtime = repository().join("runtime");
    manifest(
        folder,
        &format!("abide = {{ path = {:?}, default-features = false }}", runtime.display().to_string()),
    )?;
    let modules: String = (0..workflows).map(|number| format!("mod order_{number};\n")).collect();
    fs::write(folder.join("src/lib.rs"), format!("#![allow(dead_code, unused)]\n{modules}"))?;
    for number in 0..workflows {
        let text = source::module(form, 0);
        fs::write(folder.join(format!("src/order_{number}.rs")), text)?;
    }
    Ok(())
}

/// Writes a manifest, and copies this repository's lock file, so that the result does not depend on the day.
fn manifest(folder: &Path, dependencies: &str) -> AnyResult<()> {
    let text = format!(
        "[package]\nname = \"measured\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{dependencies}\n"
    );
    fs::write(folder.join("Cargo.toml"), text)?;
    fs::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn timed(folder: &Path, incremental: bool) -> AnyResult<f64> {
    let started = Instant::now();
    cargo(folder, &["check", "--quiet"], incremental)?;
    Ok(started.elapsed().as_secs_f64())
}

fn cargo(folder: &Path, args: &[&str], incremental: bool) -> AnyResult<String> {
    // Two folders: a change of the setting would discard the other setting's results.
    let target = folder.with_file_name(if incremental { "target_incremental" } else { "target_clean" });
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", if incremental { "1" } else { "0" })
        .output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => {
            let told = String::from_utf8_lossy(&output.stderr);
            let first: Vec<&str> = told.lines().take(8).collect();
            Err(format!("cargo {} fails:\n{}", args.join(" "), first.join("\n")).into())
        }
    }
}

fn expand(args: &Args, dir: &Path) -> AnyResult<Vec<Expanded>> {
    let folder = dir.join("expansion");
    fs::create_dir_all(folder.join("src"))?;
    let analysis = repository().join("macros/analysis").display().to_string();
    manifest(&folder, &format!("abide-analysis = {{ path = {analysis:?} }}\nproc-macro2 = \"1\""))?;
    let text = source::long_workflow(args.lines);
    fs::write(folder.join("src/main.rs"), source::EXPAND)?;
    fs::write(folder.join("workflow.rs"), &text)?;
    let mut expanded = Vec::new();
    for (profile, arguments) in
        [("release", &["run", "--quiet", "--release"][..]), ("debug", &["run", "--quiet"][..])]
    {
        let printed = cargo(&folder, arguments, true)?;
        let (median, best) = printed.trim().split_once(' ').ok_or("the program printed no two times")?;
        let (median, best): (f64, f64) = (median.parse()?, best.parse()?);
        expanded.push(Expanded {
            profile,
            lines: text.lines().count(),
            expansion_ms: median / 1_000.0,
            best_ms: best / 1_000.0,
        });
    }
    Ok(expanded)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
