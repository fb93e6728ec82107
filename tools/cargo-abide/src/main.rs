//! `cargo abide`: explains error codes, configures clippy for workflow code, lists where a crate exempts itself
//! from a check, and warns of workflows without an end.
//!
//! It only reads the user's crate, except for `init`, which reports each file that it changes. It starts no
//! process and never uses the network.

mod clippy;
mod exceptions;
mod explain;
mod init;
mod loops;
mod sources;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo abide", bin_name = "cargo abide", version)]
#[command(about = "Explains abide's error codes, sets clippy up, lists the exceptions of a crate")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the page of an error code, or all codes with their titles.
    Explain {
        /// Like AB0101; `ab0101` and `101` do too.
        code: Option<String>,
    },
    /// Teaches clippy what workflow code must not call: writes into `clippy.toml`, and keeps what is there.
    Init {
        /// The folder of the package or workspace.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Prints the files as they would be, and writes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Lists every place that exempts itself from a check, with its reason. Exits with 1 if a reason is
    /// missing.
    Exceptions {
        /// A package's folder, or one file.
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Warns of workflows whose history has no end: loops that await and never end (AB0151).
    Loops {
        /// A package's folder, or one file.
        #[arg(default_value = ".")]
        path: PathBuf,
    },
}

/// What a command prints on stdout, and its exit code.
struct Answer {
    text: String,
    exit: u8,
}

impl Answer {
    fn good(text: String) -> Self {
        Self { text, exit: 0 }
    }
}

/// The error as text for stderr. The exit code is 2, as for wrong arguments.
type Failed = String;

fn main() -> ExitCode {
    let args = Args::parse_from(own_args(std::env::args_os().collect()));
    let answer = match args.command {
        Command::Explain { code } => explain::run(code.as_deref()),
        Command::Init { path, dry_run } => init::run(&path, dry_run),
        Command::Exceptions { path } => exceptions::run(&path),
        Command::Loops { path } => loops::run(&path),
    };
    match answer {
        Ok(Answer { text, exit }) => {
            // It is not an error if the reader closes the pipe early (`| head`).
            let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
            ExitCode::from(exit)
        }
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::from(2)
        }
    }
}

/// cargo calls `cargo-abide abide explain ..`. A user may call `cargo-abide explain ..`.
fn own_args(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|first| first == "abide") {
        args.remove(1);
    }
    args
}
