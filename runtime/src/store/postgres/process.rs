//! Which process a worker is, and whether that process has ended: what the operating system knows (PROTOCOL 18).
//!
//! A process is told by its machine's boot id, its namespaces of process ids and of time, its id there, and
//! when it started. Only a process of the same boot and the same namespaces is judged: elsewhere the same id
//! is another process. Linux tells all this in `/proc`. On other systems, and where `/proc` does not show
//! everything, nothing is known: the empty text, and the advisory lock and the lease decide.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// This process, as others of its machine can find it.
#[derive(Clone, Debug)]
pub(super) struct Here {
    proc: PathBuf,
    /// What processes share that can judge each other, with a `/` at its end.
    machine: String,
    pid: u32,
    /// When it started: clock ticks since the boot.
    started: u64,
}

/// What `/proc/<pid>/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// All its threads have ended, and its parent has not asked for it yet.
    ended: bool,
    started: u64,
}

impl Here {
    /// This process; `None` where it cannot be told.
    pub(super) fn look() -> Option<Self> {
        cfg!(target_os = "linux").then(|| Self::of(Path::new("/proc"), std::process::id()))?
    }

    fn of(proc: &Path, pid: u32) -> Option<Self> {
        let read = |name: &str| std::fs::read_to_string(proc.join(name)).ok();
        let namespace = |name: &str| {
            let link = std::fs::read_link(proc.join("self/ns").join(name)).ok()?;
            Some(link.to_str()?.replace('/', "-"))
        };
        let boot = read("sys/kernel/random/boot_id")?;
        // Older kernels have no namespaces of time.
        let (pids, time) = (namespace("pid")?, namespace("time").unwrap_or_else(|| "none".to_owned()));
        let machine = format!("linux/{}/{pids}/{time}/", boot.trim());
        let own = is_own(&read("self/status")?, pid) && shows_all(&read("self/mountinfo")?);
        let stat = stat_of(proc, pid).ok()??;
        own.then(|| Self { proc: proc.to_owned(), machine, pid, started: stat.started })
    }

    /// The text for the worker's row.
    pub(super) fn text(&self) -> String {
        format!("{}{}/{}", self.machine, self.pid, self.started)
    }

    /// Whether this process, the text of a worker's row, has ended for certain.
    pub(super) fn has_ended(&self, process: &str) -> bool {
        let parts = process.strip_prefix(&self.machine).and_then(|rest| rest.split_once('/'));
        let parts =
            parts.and_then(|(pid, started)| Some((pid.parse::<u32>().ok()?, started.parse::<u64>().ok()?)));
        let Some((pid, started)) = parts else { return false };
        // A process that does not see itself does not see others either.
        let sees = matches!(stat_of(&self.proc, self.pid), Ok(Some(stat)) if stat.started == self.started);
        sees && match stat_of(&self.proc, pid) {
            Ok(Some(stat)) => stat.ended || stat.started != started,
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

/// `Ok(None)`: there is no such process.
fn stat_of(proc: &Path, pid: u32) -> std::io::Result<Option<Stat>> {
    match std::fs::read_to_string(proc.join(pid.to_string()).join("stat")) {
        Ok(text) => match parse(&text) {
            Some(stat) => Ok(Some(stat)),
            None => Err(std::io::Error::from(ErrorKind::InvalidData)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `7 (name) S 1 ..`: the name may hold anything, parentheses too.
fn parse(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let (state, threads) = (*fields.first()?, fields.get(17)?.parse::<u32>().ok()?);
    // A first thread that has ended is a zombie as well while others of its process run.
    let ended = matches!(state, "Z" | "X") && threads <= 1;
    Some(Stat { ended, started: fields.get(19)?.parse().ok()? })
}

/// Whether this `/proc` is of our own namespace: its number for us is the one that we know, and there is no other.
fn is_own(status: &str, pid: u32) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.is_some_and(|ids| ids.split_ascii_whitespace().eq([pid.to_string()]))
}

/// Whether other users' processes are to be seen in `/proc`: with `hidepid` they look as if they had ended.
fn shows_all(mounts: &str) -> bool {
    let of_proc = |line: &&str| line.split(' ').nth(4) == Some("/proc");
    let hides = |line: &str| {
        let options = line.split([' ', ',']).filter_map(|option| option.strip_prefix("hidepid="));
        options.into_iter().any(|value| !matches!(value, "0" | "off" | "1" | "noaccess"))
    };
    mounts.lines().rfind(of_proc).is_some_and(|line| !hides(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELF: u32 = 7;

    fn stat(state: &str, threads: u32, started: u64) -> String {
        format!(
            "8 (a) b (c)) {state} 1 1 1 0 -1 4194304 98 0 0 0 0 0 0 0 20 0 {threads} 0 {started} 3133440 413"
        )
    }

    /// A `/proc` with ourselves in it.
    fn fake() -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = proc.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("sys/kernel/random/boot_id", "b0-0t\n");
        write("self/status", "Name:\tx\nNSpid:\t7\n");
        write("self/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw\n");
        write("7/stat", &stat("S", 3, 500));
        std::fs::create_dir_all(proc.path().join("self/ns")).unwrap();
        for (name, to) in [("pid", "pid:[1]"), ("time", "time:[2]")] {
            #[cfg(unix)]
            std::os::unix::fs::symlink(to, proc.path().join("self/ns").join(name)).unwrap();
        }
        proc
    }

    fn with(proc: &tempfile::TempDir, name: &str, text: &str) {
        let path = proc.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_process_has_ended_where_it_is_gone_or_another_has_its_id() {
        let proc = fake();
        let here = Here::of(proc.path(), SELF).unwrap();
        assert_eq!(here.text(), "linux/b0-0t/pid:[1]/time:[2]/7/500");
        assert!(!here.has_ended(&here.text()));
        let other = "linux/b0-0t/pid:[1]/time:[2]/8/900";
        assert!(here.has_ended(other), "there is none");
        for (state, threads, started, ended) in [
            ("S", 1, 900, false),
            ("T", 1, 900, false),
            ("Z", 1, 900, true),
            ("Z", 4, 900, false),
            ("S", 1, 901, true),
        ] {
            with(&proc, "8/stat", &stat(state, threads, started));
            assert_eq!(here.has_ended(other), ended, "{state} {threads} {started}");
        }
        with(&proc, "8/stat", "torn");
        assert!(!here.has_ended(other), "nothing is known");
    }

    #[cfg(unix)]
    #[test]
    fn who_is_elsewhere_is_not_judged() {
        let proc = fake();
        let here = Here::of(proc.path(), SELF).unwrap();
        for other in [
            "",
            "linux/b0-0t/pid:[9]/time:[2]/8/900",
            "linux/b0-0t/pid:[1]/time:[9]/8/900",
            "linux/other/pid:[1]/time:[2]/8/900",
            "linux/b0-0t/pid:[1]/time:[2]/8",
            "linux/b0-0t/pid:[1]/time:[2]/x/y",
        ] {
            assert!(!here.has_ended(other), "{other}");
        }
        std::fs::remove_dir_all(proc.path().join("7")).unwrap();
        assert!(!here.has_ended("linux/b0-0t/pid:[1]/time:[2]/8/900"), "it does not see itself");
    }

    #[cfg(unix)]
    #[test]
    fn a_proc_that_hides_or_is_anothers_tells_nothing() {
        for (name, text) in [
            ("self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw,hidepid=2\n"),
            ("self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw,hidepid=invisible\n"),
            ("self/mountinfo", ""),
            ("self/status", "NSpid:\t4711\t7\n"),
            ("self/status", "Name:\tx\n"),
            ("7/stat", "torn"),
        ] {
            let proc = fake();
            with(&proc, name, text);
            assert!(Here::of(proc.path(), SELF).is_none(), "{name}: {text}");
        }
        let proc = fake();
        with(&proc, "self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw,hidepid=off\n");
        assert!(Here::of(proc.path(), SELF).is_some());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_that_was_killed_has_ended() {
        let Some(here) = Here::look() else { return };
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let started = stat_of(&here.proc, child.id()).unwrap().unwrap().started;
        let text = format!("{}{}/{started}", here.machine, child.id());
        assert!(!here.has_ended(&text));
        child.kill().unwrap();
        while !here.has_ended(&text) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(here.has_ended(&text), "whether its parent has asked for it or not");
    }
}
