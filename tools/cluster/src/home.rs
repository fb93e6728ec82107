//! The folder of one server, and the watchdog that removes it and ends all processes in it, however its owner
//! ends.
//!
//! It must never start a program for the folder outside of the watchdog's process group: the program would
//! outlive us.

use crate::account::Account;
use crate::error::{Error, Tried};
use crate::log::Log;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const WATCHDOG: &str = include_str!("watchdog.sh");

/// The folder is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    account: Option<Account>,
    /// Holds the write end of the watchdog's input. std opens it close-on-exec, so no server inherits it. A
    /// child between fork and exec holds it, and is in the watchdog's group before it closes it.
    watchdog: Child,
}

impl Home {
    /// A new folder in `parent`.
    pub(crate) fn new(parent: &Path) -> Result<Self, Error> {
        let account = Account::for_servers()?;
        let parent = std::path::absolute(parent).tried("finding the current folder")?;
        std::fs::create_dir_all(&parent).tried(format_args!("making {}", parent.display()))?;
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "cluster-watchdog"])
            .arg(parent)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .tried("running `sh`")?;
        let path = first_line(&mut watchdog)?;
        let home = Self { path, account, watchdog };
        if let Some(Account { uid, gid }) = account {
            let handed = chown(&home.path, Some(uid), Some(gid));
            handed.tried(format_args!("handing {} over", home.path.display()))?;
        }
        Ok(home)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Postgres' own files.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A command that will run in the folder, as the right user, and will end with the folder.
    pub(crate) fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        let group = i32::try_from(self.watchdog.id()).expect("process ids are positive numbers of 32 bits");
        command.process_group(group).current_dir(&self.path).stdin(Stdio::null());
        if let Some(Account { uid, gid }) = self.account {
            command.uid(uid).gid(gid);
        }
        // A developer's PGPORT or PGDATA is for another server. We read the logs, so they must be in English.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        command
    }

    /// Runs a program in the folder to its end. Its output is returned only if it failed.
    ///
    /// The program may run to its end even if we are killed: an interrupted `initdb` leaves shared memory
    /// behind. For that it also holds the write end, as an input that it never reads, and the watchdog waits
    /// for both of us.
    pub(crate) fn run(&self, program: impl Into<PathBuf>, arguments: &[&str]) -> Result<(), Error> {
        let mut command = self.command(program);
        let name = command.get_program().display().to_string();
        let log = Log::open(&self.path)?;
        log.take_from(command.args(arguments))?;
        if let Some(write_end) = &self.watchdog.stdin {
            command.stdin(write_end.as_fd().try_clone_to_owned().tried("sharing the watchdog's input")?);
        }
        // The program runs as the servers' user, who must have access to the folder.
        let ran = command.status().tried(format_args!("running `{name}` in {}", self.path.display()));
        match ran? {
            status if status.success() => Ok(()),
            status => {
                Err(Error::Program { what: format!("`{name}` failed, {status}:"), output: log.read()? })
            }
        }
    }

    /// Ends all processes in the folder and removes it. Waits until that is done.
    pub(crate) fn remove(&mut self) {
        // `wait` closes the watchdog's input first. The watchdog always ends itself by a signal, so its
        // status says nothing.
        let _ = self.watchdog.wait();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The name of the folder that the watchdog has created.
fn first_line(watchdog: &mut Child) -> Result<PathBuf, Error> {
    let mut line = Vec::new();
    if let Some(output) = watchdog.stdout.take() {
        BufReader::new(output).read_until(b'\n', &mut line).tried("reading the watchdog's answer")?;
    }
    if line.pop() == Some(b'\n') {
        return Ok(PathBuf::from(OsString::from_vec(line)));
    }
    let mut output = String::new();
    if let Some(mut errors) = watchdog.stderr.take() {
        errors.read_to_string(&mut output).tried("reading the watchdog's answer")?;
    }
    let _ = watchdog.wait();
    Err(Error::Program { what: "no folder could be made:".to_string(), output })
}
