//! A pipeline over many files: each is converted line by line by one activity, which tells by heartbeats how far it is.
//!
//! ```sh
//! cargo run --example files
//! ```
//!
//! Kill the program at any time and run it again: files that were done stay done, and each file in the middle of which
//! it was killed goes on inside, at the last line that is known to be converted. Ctrl-C stops it in order: then no line
//! is converted again.
//!
//! `FILES_DIR` is the folder of its database and of the files, in `in` and `out`. Default: `target/files`. Delete it to
//! convert them again.

use abide::prelude::*;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const QUEUE: &str = "files";

/// How many files there are, and how many lines each has.
const FILES: usize = 6;
const LINES: usize = 300;

/// Converts every file of the folder, as many at once as the worker has slots.
#[workflow]
async fn convert_all() -> Result<usize, Failure> {
    let names = Folder::list().await?;
    let lines = join_all(names.into_iter().map(Folder::convert)).await;
    Ok(lines.into_iter().sum::<Result<usize, _>>()?)
}

/// How far a file is: what a heartbeat tells. The output is right up to this byte, whatever was written behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    lines: usize,
    bytes: u64,
}

#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum NotConverted {
    #[error("{0}")]
    Io(String),
    #[error(transparent)]
    Stopped(#[from] activity::HeartbeatError),
    #[error("the worker stops")]
    WorkerStops,
}

impl From<io::Error> for NotConverted {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// The folder of the files.
struct Folder {
    dir: PathBuf,
    /// How long a line takes.
    line: Duration,
}

#[activity]
impl Folder {
    #[activity(start_to_close = "10s")]
    fn list(&self) -> Result<Vec<String>, NotConverted> {
        let mut names = Vec::new();
        for file in fs::read_dir(self.dir.join("in"))? {
            names.push(file?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// A plain `fn`, because it waits for files: it runs on the blocking pool. An attempt that says nothing for two
    /// seconds is given up.
    #[activity(heartbeat_timeout = "2s", retry(initial_interval = "200ms"))]
    fn convert(&self, name: String) -> Result<usize, NotConverted> {
        let context = activity::context();
        let mut done = context.last_heartbeat::<Progress>().unwrap_or_default();
        if done.lines > 0 {
            println!("{name}: goes on at line {}", done.lines + 1);
        }
        let mut output = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.dir.join("out").join(&name))?;
        // What an attempt has written behind its last heartbeat is written again.
        output.set_len(done.bytes)?;
        output.seek(SeekFrom::End(0))?;
        let input = BufReader::new(fs::File::open(self.dir.join("in").join(&name))?);
        for line in input.lines().skip(done.lines) {
            let converted = format!("{}\n", line?.to_uppercase());
            output.write_all(converted.as_bytes())?;
            std::thread::sleep(self.line);
            done = Progress { lines: done.lines + 1, bytes: done.bytes + converted.len() as u64 };
            context.heartbeat(&done)?;
            if context.is_worker_shutting_down() {
                return Err(NotConverted::WorkerStops); // the next attempt has the last heartbeat
            }
        }
        println!("{name}: {} lines", done.lines);
        Ok(done.lines)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::var_os("FILES_DIR").map_or_else(|| "target/files".into(), PathBuf::from);
    prepare(&dir)?;
    let abide = Abide::open(dir.join("files.db")).await?;
    let folder = Folder { dir: dir.clone(), line: millis(5) };
    let worker = abide.worker(QUEUE).workflow(convert_all).activities(folder);
    let worker = worker.max_concurrent_activities(3).start().await?;
    // The same request id for each run of this program: one conversion, also after its end.
    let client = abide.client().task_queue(QUEUE);
    let run = client.start(convert_all()).id("convert").request_id("convert").await?;
    tokio::select! {
        lines = run.result() => println!("the workflow has converted {} lines", lines?),
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    worker.shutdown().await?;
    println!("{}", summary(&dir)?);
    Ok(())
}

/// Makes the files, unless they are there.
fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir.join("out"))?;
    fs::create_dir_all(dir.join("in"))?;
    for file in 0..FILES {
        let lines: String = (0..LINES).map(|line| format!("file {file}, line {line}\n")).collect();
        fs::write(dir.join("in").join(format!("report-{file}.txt")), lines)?;
    }
    Ok(())
}

/// Counts the lines of the output, and the different ones.
fn summary(dir: &Path) -> io::Result<String> {
    let (mut lines, mut different) = (0, BTreeSet::new());
    for file in fs::read_dir(dir.join("out"))? {
        for line in fs::read_to_string(file?.path())?.lines() {
            lines += 1;
            different.insert(line.to_owned());
        }
    }
    Ok(format!("converted: {lines} lines, {} different ones", different.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{ActivityEnv, TestEnv};

    fn folder() -> io::Result<(tempfile::TempDir, Folder)> {
        let dir = tempfile::tempdir()?;
        prepare(dir.path())?;
        let folder = Folder { dir: dir.path().to_owned(), line: Duration::ZERO };
        Ok((dir, folder))
    }

    #[tokio::test]
    async fn every_line_is_converted_once() -> Result<(), Failure> {
        let (dir, folder) = folder()?;
        let env = TestEnv::start().await?;
        let worker = env.worker(QUEUE).workflow(convert_all).activities(folder).start().await?;
        assert_eq!(env.client().start(convert_all()).await?.result().await?, FILES * LINES);
        assert_eq!(summary(dir.path())?, "converted: 1800 lines, 1800 different ones");
        Ok(worker.shutdown().await?)
    }

    /// The attempt before has written three lines, and has told of two.
    #[test]
    fn it_goes_on_inside_a_file() -> Result<(), Failure> {
        let (dir, folder) = folder()?;
        let output = dir.path().join("out").join("report-1.txt");
        fs::write(&output, "FILE 1, LINE 0\nFILE 1, LINE 1\nFILE 1, LINE 2\n")?;
        let env = ActivityEnv::new().attempt(2).last_heartbeat(&Progress { lines: 2, bytes: 30 });
        assert_eq!(env.run_blocking(|| folder.convert("report-1.txt".into()))?, LINES);
        assert_eq!(summary(dir.path())?, "converted: 300 lines, 300 different ones");

        // Where the worker stops, it tells where it is.
        let env = ActivityEnv::new().last_heartbeat(&Progress { lines: 4, bytes: 60 });
        env.shut_down_worker();
        assert_eq!(
            env.run_blocking(|| folder.convert("report-1.txt".into())),
            Err(NotConverted::WorkerStops)
        );
        assert_eq!(env.heartbeat(), Some(Progress { lines: 5, bytes: 75 }));
        Ok(())
    }
}
