//! Starts a throw-away Postgres, prints its URL and folder, and keeps it until its input ends or Ctrl-C:
//! `cargo run -p cluster -- [--durable] [--ssl] [--install] [--folder DIR]`.

use cluster::{Cluster, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--durable" => options.durable = true,
            "--ssl" => options.ssl = true,
            "--install" => options.install = true,
            "--folder" => options.folder = Some(arguments.next().ok_or("--folder needs a folder")?.into()),
            other => {
                let known = "[--durable] [--ssl] [--install] [--folder DIR]";
                return Err(format!("no option `{other}`\n  help: cluster {known}"));
            }
        }
    }
    Ok(options)
}

fn run(options: Options) -> Result<(), String> {
    let cluster = Cluster::start(options).map_err(|error| error.to_string())?;
    println!("{}\n{}", cluster.url("postgres"), cluster.folder().display());
    // If a signal ends us instead, the watchdog cleans up.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map_err(|error| error.to_string())?;
    Ok(())
}
