//! What `clippy.toml` is told (layer C of the determinism catalogue): paths that workflow code must not name, each with its
//! code and what to write instead.
//!
//! Clippy takes exact paths only. Those of std must exist, or clippy says so; those of other crates may be missing.

use Lint::{Macros, Methods, Types};

/// One of clippy's three lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lint {
    Methods,
    Types,
    Macros,
}

impl Lint {
    pub(crate) const ALL: [Self; 3] = [Methods, Types, Macros];

    /// The key in `clippy.toml`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Methods => "disallowed-methods",
            Types => "disallowed-types",
            Macros => "disallowed-macros",
        }
    }

    /// The lint's name in `Cargo.toml`.
    pub(crate) fn level(self) -> &'static str {
        match self {
            Methods => "disallowed_methods",
            Types => "disallowed_types",
            Macros => "disallowed_macros",
        }
    }
}

/// One forbidden path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) lint: Lint,
    pub(crate) path: &'static str,
    group: &'static Group,
}

impl Entry {
    /// What clippy prints below its own message.
    pub(crate) fn reason(&self) -> String {
        let Group { code, why, instead, .. } = self.group;
        format!("{code} in workflow code: {why}; use {instead}")
    }

    /// Whether the path leads out of std: into a crate that may not be there, or lack the feature.
    pub(crate) fn may_be_missing(&self) -> bool {
        !self.path.starts_with("std::")
    }
}

/// All forbidden paths.
pub(crate) fn entries() -> impl Iterator<Item = Entry> {
    GROUPS
        .iter()
        .flat_map(|group| group.paths.iter().map(move |path| Entry { lint: group.lint, path, group }))
}

#[derive(Debug)]
struct Group {
    lint: Lint,
    code: &'static str,
    why: &'static str,
    instead: &'static str,
    paths: &'static [&'static str],
}

const fn group(
    lint: Lint,
    code: &'static str,
    why: &'static str,
    instead: &'static str,
    paths: &'static [&'static str],
) -> Group {
    Group { lint, code, why, instead, paths }
}

const STATE: &str = "the workflow's own state, and `workflow::until!` to wait for it";

static GROUPS: &[Group] = &[
    group(Methods, "AB0101", "on replay it is another time", "`workflow::now()`", CLOCKS),
    group(Types, "AB0101", "on replay it is another time", "`workflow::now()`", &["std::time::SystemTime"]),
    group(Methods, "AB0102", "no replay repeats it", "`workflow::sleep` or `workflow::timeout`", TIMERS),
    group(Methods, "AB0103", "on replay it is another value", "`workflow::random()`", RANDOM),
    group(Types, "AB0103", "each one has another seed", "a `BTreeMap`", &["std::hash::RandomState"]),
    group(Methods, "AB0104", "on replay it is another id", "`workflow::uuid()`", IDS),
    group(Methods, "AB0105", "its order is in no history", "`workflow::spawn` or an `#[activity]`", THREADS),
    group(Methods, "AB0106", "its result is in no history", "`workflow::spawn` or an `#[activity]`", TASKS),
    group(Methods, "AB0107", "its result is in no history", "an `#[activity]`", IO),
    group(Types, "AB0107", "its result is in no history", "an `#[activity]`", IO_TYPES),
    group(Methods, "AB0108", "it differs by machine", "an argument, or `workflow::info()`", ENVIRONMENT),
    group(Macros, "AB0109", "a replay prints it again", "`tracing`", CONSOLE),
    group(Macros, "AB0111", "it outlives the workflow", "the workflow's own state", &["std::thread_local"]),
    group(Types, "AB0111", "it outlives the workflow", "the workflow's own state", ATOMICS),
    group(Types, "AB0112", "who comes first is in no history", STATE, LOCKS),
    group(Methods, "AB0112", "who comes first is in no history", STATE, CHANNELS),
    group(Macros, "AB0114", "its order is random", "`workflow::select!` or `workflow::join!`", SELECTS),
    group(Methods, "AB0115", "the order differs on every replay", "a `BTreeMap` or `BTreeSet`", HASH_ORDER),
];

const CLOCKS: &[&str] = &[
    "std::time::Instant::now",
    "std::time::Instant::elapsed",
    "std::time::SystemTime::now",
    "std::time::SystemTime::elapsed",
    "tokio::time::Instant::now",
    "tokio::time::Instant::elapsed",
    "chrono::Utc::now",
    "chrono::Local::now",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "time::OffsetDateTime::now_utc",
    "time::OffsetDateTime::now_local",
];

const TIMERS: &[&str] = &[
    "std::thread::sleep",
    "std::thread::park",
    "std::thread::park_timeout",
    "tokio::time::sleep",
    "tokio::time::sleep_until",
    "tokio::time::interval",
    "tokio::time::timeout",
    "tokio::time::timeout_at",
];

const RANDOM: &[&str] = &[
    "rand::random",
    "rand::random_range",
    "rand::random_bool",
    "rand::random_iter",
    "rand::rng",
    "rand::thread_rng",
    "getrandom::fill",
    "getrandom::getrandom",
    "fastrand::bool",
    "fastrand::u32",
    "fastrand::u64",
    "fastrand::usize",
    "fastrand::f64",
    "fastrand::shuffle",
];

const IDS: &[&str] = &[
    "uuid::Uuid::now_v1",
    "uuid::Uuid::new_v4",
    "uuid::Uuid::now_v6",
    "uuid::Uuid::now_v7",
    "ulid::Ulid::new",
    "nanoid::nanoid",
];

const THREADS: &[&str] = &[
    "std::thread::spawn",
    "std::thread::scope",
    "std::thread::Builder::spawn",
    "std::thread::yield_now",
    "rayon::spawn",
    "rayon::scope",
    "rayon::join",
    "crossbeam::thread::scope",
    "crossbeam::scope",
];

const TASKS: &[&str] = &[
    "tokio::spawn",
    "tokio::task::spawn",
    "tokio::task::spawn_blocking",
    "tokio::task::spawn_local",
    "tokio::task::block_in_place",
    "tokio::task::yield_now",
    "tokio::runtime::Handle::current",
    "tokio::runtime::Handle::block_on",
    "tokio::runtime::Runtime::new",
    "futures::executor::block_on",
    "async_std::task::spawn",
    "smol::spawn",
];

const IO: &[&str] = &[
    "std::fs::copy",
    "std::fs::create_dir",
    "std::fs::create_dir_all",
    "std::fs::exists",
    "std::fs::metadata",
    "std::fs::read",
    "std::fs::read_dir",
    "std::fs::read_to_string",
    "std::fs::remove_dir_all",
    "std::fs::remove_file",
    "std::fs::rename",
    "std::fs::write",
    "std::path::Path::canonicalize",
    "std::path::Path::exists",
    "std::path::Path::is_dir",
    "std::path::Path::is_file",
    "std::path::Path::metadata",
    "std::path::Path::read_dir",
    "std::path::Path::try_exists",
    "std::io::stdin",
    "std::io::read_to_string",
    "std::process::Command::new",
    "reqwest::get",
    "reqwest::Client::new",
    "reqwest::blocking::get",
    "ureq::get",
    "ureq::post",
];

const IO_TYPES: &[&str] = &[
    "std::fs::File",
    "std::fs::OpenOptions",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
];

const ENVIRONMENT: &[&str] = &[
    "std::env::args",
    "std::env::args_os",
    "std::env::current_dir",
    "std::env::current_exe",
    "std::env::temp_dir",
    "std::env::var",
    "std::env::var_os",
    "std::env::vars",
    "std::env::vars_os",
    "std::process::id",
    "std::thread::available_parallelism",
    "std::thread::current",
    "num_cpus::get",
    "hostname::get",
];

const CONSOLE: &[&str] = &["std::print", "std::println", "std::eprint", "std::eprintln", "std::dbg"];

const ATOMICS: &[&str] = &[
    "std::sync::atomic::AtomicBool",
    "std::sync::atomic::AtomicI32",
    "std::sync::atomic::AtomicI64",
    "std::sync::atomic::AtomicU32",
    "std::sync::atomic::AtomicU64",
    "std::sync::atomic::AtomicUsize",
    "std::sync::OnceLock",
];

const LOCKS: &[&str] = &[
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::sync::Barrier",
    "tokio::sync::Mutex",
    "tokio::sync::RwLock",
    "tokio::sync::Notify",
    "tokio::sync::Semaphore",
];

const CHANNELS: &[&str] = &[
    "std::sync::mpsc::channel",
    "std::sync::mpsc::sync_channel",
    "tokio::sync::broadcast::channel",
    "tokio::sync::mpsc::channel",
    "tokio::sync::mpsc::unbounded_channel",
    "tokio::sync::oneshot::channel",
    "tokio::sync::watch::channel",
];

const SELECTS: &[&str] = &["tokio::select", "tokio::join", "tokio::try_join"];

const HASH_ORDER: &[&str] = &[
    "std::collections::HashMap::drain",
    "std::collections::HashMap::into_keys",
    "std::collections::HashMap::into_values",
    "std::collections::HashMap::iter",
    "std::collections::HashMap::iter_mut",
    "std::collections::HashMap::keys",
    "std::collections::HashMap::values",
    "std::collections::HashMap::values_mut",
    "std::collections::HashSet::difference",
    "std::collections::HashSet::drain",
    "std::collections::HashSet::intersection",
    "std::collections::HashSet::iter",
    "std::collections::HashSet::symmetric_difference",
    "std::collections::HashSet::union",
];
