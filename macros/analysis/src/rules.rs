//! The rules for workflow code, as one table: a code, the paths, the reason, and what to write instead. The
//! macros, the command line tool and the tests read the same table.
//!
//! A path is a full one, with the crate's own name. `a::b::*` is every path below `a::b`, `a::b!` is a macro,
//! and `{x, y}` are alternatives. The longest matching pattern decides, so [`ALLOWED`] can make exceptions
//! from a `*`.

mod texts;

pub(crate) use texts::{ADDRESS, BEFORE, GLOBAL, OWN_ID, STATE, UNHEARD};

use crate::errors::Code;
use std::collections::HashMap;
use std::sync::OnceLock;
use texts::{
    ACTIVITY, ANOTHER_ID, CHANNEL, COUNTS, DRAWS, INPUT, LISTENER, LISTENS, LOCKS, MACHINE, NOW, ORDER,
    OUTSIDE, PERMITS, PRINTS, RANDOM, RUNS, SLEEP, TASK, TELLS, THREAD, TIME, TRACING, TURNS, UNTIL, UUID,
    WAITS,
};

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) code: Code,
    /// The patterns, separated by spaces.
    pub(crate) paths: &'static str,
    /// The reason: the text continues after ``"`path` "``.
    pub(crate) reason: &'static str,
    /// What to write instead.
    pub(crate) instead: &'static str,
}

/// The name of a code's class in a chain of calls.
pub(crate) fn class(code: Code) -> &'static str {
    match code {
        Code::Clock => "clock",
        Code::Timer => "timer",
        Code::Random => "randomness",
        Code::Id => "ids",
        Code::Thread => "threads",
        Code::Task => "tasks",
        Code::Io => "I/O",
        Code::Environment => "environment",
        Code::Console => "console",
        Code::Address => "addresses",
        Code::Global => "global state",
        Code::Lock => "locks and channels",
        Code::Unsafe => "unsafe code",
        Code::ForeignSelect => "foreign `select!`",
        Code::HashOrder => "hash order",
        Code::Unheard => "what depends on who listens",
        _ => "not deterministic",
    }
}

const fn rule(code: Code, paths: &'static str, reason: &'static str, instead: &'static str) -> Rule {
    Rule { code, paths, reason, instead }
}

/// The table of rules.
pub(crate) static RULES: &[Rule] = &[
    rule(
        Code::Clock,
        "std::time::Instant::{now,elapsed} std::time::SystemTime::{now,elapsed} tokio::time::Instant::{now,elapsed} \
         quanta::Instant::{now,elapsed,recent} quanta::Clock::{now,new} web_time::Instant::now \
         coarsetime::Instant::now minstant::Instant::now \
         chrono::Utc::{now,today} chrono::Local::{now,today} \
         time::OffsetDateTime::{now_utc,now_local} time::UtcDateTime::now time::Instant::now \
         jiff::Timestamp::now jiff::Zoned::now jiff::tz::TimeZone::{system,try_system} \
         humantime::{format_rfc3339_now}",
        TIME,
        NOW,
    ),
    rule(
        Code::Timer,
        "std::thread::{sleep,sleep_ms,sleep_until,park,park_timeout,yield_now} \
         tokio::time::{sleep,sleep_until,timeout,timeout_at,interval,interval_at,pause,advance,resume} \
         tokio::time::* tokio_util::time::* async_std::task::sleep async_std::future::timeout \
         async_io::Timer::{after,at,interval} futures_timer::Delay::new smol::Timer::{after,at,interval} \
         tokio::task::yield_now",
        WAITS,
        SLEEP,
    ),
    rule(
        Code::Random,
        "rand::{random,rng,thread_rng,random_range,random_bool,random_iter,random_ratio,fill} \
         rand::rngs::{OsRng,SysRng,ThreadRng} \
         rand::rngs::{StdRng,SmallRng}::{from_entropy,from_os_rng,try_from_os_rng} \
         rand::SeedableRng::{from_entropy,from_os_rng} \
         rand_core::OsRng rand_chacha::{ChaCha8Rng,ChaCha12Rng,ChaCha20Rng}::{from_entropy,from_os_rng} \
         getrandom::* fastrand::* oorandom::Rand32::new_inc nanorand::tls_rng \
         {std::collections::hash_map,std::hash,ahash}::RandomState::{new,default}",
        DRAWS,
        RANDOM,
    ),
    rule(
        Code::Id,
        "uuid::Uuid::{new_v4,new_v7,now_v1,now_v6,now_v7} uuid::Timestamp::now uuid::ContextV7::new \
         ulid::Ulid::new ulid::Generator::generate nanoid::nanoid nanoid::nanoid! cuid::cuid cuid2::* \
         xid::new ksuid::Ksuid::generate svix_ksuid::Ksuid::new \
         rusty_ulid::generate_ulid_string",
        ANOTHER_ID,
        UUID,
    ),
    rule(
        Code::Thread,
        "std::thread::{spawn,scope} std::thread::Builder::new rayon::* crossbeam::thread::scope \
         crossbeam::scope crossbeam_utils::thread::scope \
         threadpool::* std::thread::Scope::spawn",
        RUNS,
        THREAD,
    ),
    rule(
        Code::Task,
        "tokio::{spawn} tokio::task::* tokio::runtime::* tokio::task::JoinSet::{new,spawn} tokio_util::task::* \
         async_std::task::* smol::{spawn,block_on,unblock} futures::executor::* futures_executor::* pollster::* \
         futures_lite::future::block_on blocking::unblock",
        RUNS,
        TASK,
    ),
    rule(
        Code::Io,
        "std::fs::* std::process::* std::io::stdin std::io::Stdin::{read_line,lines,lock} \
         std::net::{TcpStream,TcpListener,UdpSocket}::* std::net::ToSocketAddrs::to_socket_addrs \
         std::path::{Path,PathBuf}::{exists,try_exists,metadata,symlink_metadata,canonicalize,read_dir,read_link,is_file,is_dir,is_symlink} \
         std::os::unix::net::* std::os::unix::fs::* \
         tokio::fs::* tokio::net::* tokio::process::* tokio::signal::* tokio::io::{stdin} \
         reqwest::* hyper::* hyper_util::* ureq::* isahc::* surf::* attohttpc::* minreq::* curl::* tonic::transport::* \
         sqlx::* rusqlite::* postgres::* tokio_postgres::* deadpool_postgres::* mysql::* mysql_async::* \
         mongodb::* redis::* diesel::* sea_orm::* \
         lapin::* rdkafka::* aws_sdk_s3::* object_store::* fs_err::* walkdir::* tempfile::* \
         async_std::fs::* async_std::net::* lettre::*",
        OUTSIDE,
        ACTIVITY,
    ),
    rule(
        Code::Environment,
        "chrono::Local chrono::Local::* std::env::* std::thread::{available_parallelism,current} \
         std::process::{id} num_cpus::* hostname::* gethostname::* whoami::* sysinfo::* \
         dotenv::* dotenvy::* sys_info::* dirs::* home::* std::backtrace::Backtrace::{capture,force_capture}",
        MACHINE,
        INPUT,
    ),
    rule(
        Code::Console,
        "std::{print,println,eprint,eprintln,dbg}! std::io::{stdout,stderr} tokio::io::{stdout,stderr}",
        PRINTS,
        TRACING,
    ),
    rule(
        Code::Console,
        "log::{trace,debug,info,warn,error,log}! slog::{trace,debug,info,warn,error,crit,log}!",
        TELLS,
        TRACING,
    ),
    rule(
        Code::Console,
        "metrics::{counter,gauge,histogram,increment_counter,increment_gauge,decrement_gauge,absolute_counter}!",
        COUNTS,
        "count in an `#[activity]`, or from what clients see: results, and the lists and descriptions of runs",
    ),
    rule(
        Code::Unheard,
        "tracing::{enabled,event_enabled,span_enabled}! \
         tracing::Span::{is_disabled,is_none,id,with_subscriber,metadata,has_field,field} \
         {tracing,tracing::level_filters,tracing::metadata}::LevelFilter::current \
         tracing::dispatcher::{get_default,has_been_set} \
         log::log_enabled! log::max_level",
        LISTENS,
        "tell the event itself: in workflow code its arguments are evaluated whoever listens",
    ),
    rule(
        Code::Unheard,
        "tracing::subscriber::{set_default,with_default,set_global_default} \
         tracing::dispatcher::{set_default,with_default,set_global_default}",
        LISTENER,
        "set the subscriber where the program begins",
    ),
    rule(Code::Address, "std::ptr::{hash,addr_eq,fn_addr_eq} by_address::*", ADDRESS, OWN_ID),
    rule(
        Code::Global,
        "std::sync::atomic::{AtomicBool,AtomicI8,AtomicI16,AtomicI32,AtomicI64,AtomicIsize,AtomicPtr,AtomicU8,AtomicU16,AtomicU32,AtomicU64,AtomicUsize}::* \
         std::sync::OnceLock::* std::sync::Once::* std::thread::LocalKey::* \
         std::thread_local! lazy_static::lazy_static! std::lazy_static! once_cell::sync::OnceCell::* arc_swap::*",
        GLOBAL,
        STATE,
    ),
    rule(
        Code::Lock,
        "std::sync::{Condvar,Barrier}::* tokio::sync::* async_std::sync::* parking_lot::* async_lock::* dashmap::*",
        LOCKS,
        UNTIL,
    ),
    rule(
        Code::Lock,
        "std::sync::{Mutex,RwLock}::* tokio::sync::{Mutex,RwLock}::* async_std::sync::{Mutex,RwLock}::* \
         parking_lot::{Mutex,RwLock,FairMutex,ReentrantMutex}::* async_lock::{Mutex,RwLock}::* futures::lock::*",
        LOCKS,
        TURNS,
    ),
    rule(Code::Lock, "tokio::sync::Semaphore::* async_lock::Semaphore::*", LOCKS, PERMITS),
    rule(
        Code::Lock,
        "std::sync::mpsc::* std::sync::mpmc::* tokio::sync::{mpsc,oneshot,broadcast,watch}::* async_std::channel::* \
         futures::channel::* futures_channel::* crossbeam::channel::* crossbeam_channel::* flume::* async_channel::*",
        LOCKS,
        CHANNEL,
    ),
    rule(
        Code::Unsafe,
        "std::arch::asm! std::arch::global_asm! libc::* nix::* rustix::* windows_sys::* winapi::*",
        "is outside of what abide can check",
        ACTIVITY,
    ),
    rule(
        Code::ForeignSelect,
        "tokio::select! futures::{select,select_biased}! futures_util::{select,select_biased}!",
        ORDER,
        "use `workflow::select!`, which polls from top to bottom",
    ),
    rule(
        Code::ForeignSelect,
        "tokio::join! futures::join! futures_util::join! futures_concurrency::* futures_lite::future::{race,zip,or}",
        ORDER,
        "use `workflow::join!`",
    ),
    rule(
        Code::ForeignSelect,
        "tokio::try_join! futures::try_join! futures_util::try_join!",
        ORDER,
        "use `workflow::try_join!`",
    ),
];

/// Types that no rule names but whose methods matter: a glob may import them.
const TYPES: &[&str] = &["std::collections::HashMap", "std::collections::HashSet"];

/// Macros whose arguments some builds or processes do not evaluate.
const OPTIONAL: &str = "tracing::{trace,debug,info,warn,error,event,span,trace_span,debug_span,info_span,warn_span,error_span}! \
    tracing::instrument! std::{debug_assert,debug_assert_eq,debug_assert_ne}!";

/// Macros and functions that return a span.
const SPANS: &str = "tracing::{span,trace_span,debug_span,info_span,warn_span,error_span}! \
                     tracing::Span::{current,none,new,new_root}";

/// Whether a macro or function returns a `tracing::Span`.
pub(crate) fn makes_span(path: &[String]) -> bool {
    let path = path.join("::");
    patterns(SPANS).any(|pattern| pattern == path)
}

/// Whether a macro may leave its arguments out.
pub(crate) fn is_optional(path: &[String]) -> bool {
    let path = path.join("::");
    patterns(OPTIONAL).any(|pattern| pattern == path)
}

/// Paths under a `*` that are pure.
const ALLOWED: &str = "tokio::time::Instant::* tokio::time::{Duration,error}::* tokio::time::Duration \
    tokio::sync::TryLockError std::process::ExitCode::* std::process::ExitStatus::* \
    reqwest::{Url,StatusCode,Method,Version,header}::* \
    hyper::{StatusCode,Method,Uri,Version,header,http}::* ureq::http::* \
    sqlx::types::* redis::{Value,ErrorKind}::* \
    std::fs::{Permissions,FileType}::* std::env::{split_paths,join_paths} std::env::consts::* \
    tokio::task::{JoinError}::* \
    tokio::runtime::RuntimeFlavor::* mongodb::bson::* tokio::net::unix::SocketAddr::* \
    fastrand::Rng::with_seed rusqlite::types::* libc::{c_int,c_char,c_void} \
    uuid::* diesel::result::* object_store::path::*";

/// Other paths to the same items.
const SAME: &[(&str, &str)] = &[
    ("core", "std"),
    ("alloc", "std"),
    ("rand::prelude", "rand"),
    ("chrono::prelude", "chrono"),
    ("chrono::offset", "chrono"),
    ("chrono::offset::utc", "chrono"),
    ("chrono::offset::local", "chrono"),
    ("sqlx::types::chrono", "chrono"),
    ("sqlx::types::uuid", "uuid"),
    ("sqlx::types::time", "time"),
    ("tokio::task::spawn", "tokio::spawn"),
    ("fs_err::tokio", "fs_err"),
    ("parking_lot::lock_api", "parking_lot"),
    ("std::thread::local", "std::thread"),
    ("std::path::PathBuf", "std::path::Path"),
    ("tracing::span::Span", "tracing::Span"),
    ("tracing::span::EnteredSpan", "tracing::Span"),
    ("tracing_attributes::instrument", "tracing::instrument"),
];

struct Table {
    /// A pattern and its rule. `None`: allowed.
    patterns: HashMap<String, Option<&'static Rule>>,
    /// All prefixes of patterns without a `*`, and the patterns themselves.
    known: std::collections::HashSet<String>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let forbidden =
            RULES.iter().flat_map(|rule| patterns(rule.paths).map(move |path| (path, Some(rule))));
        let patterns: HashMap<_, _> = forbidden.chain(patterns(ALLOWED).map(|path| (path, None))).collect();
        let mut known = std::collections::HashSet::new();
        let optional: Vec<String> = self::patterns(OPTIONAL).collect();
        let others = optional.iter().map(String::as_str).chain(TYPES.iter().copied());
        for pattern in patterns.keys().map(String::as_str).chain(others) {
            let path = pattern.trim_end_matches("::*");
            known.extend(path.match_indices("::").map(|(at, _)| path[..at].to_owned()));
            known.insert(path.to_owned());
        }
        Table { patterns, known }
    })
}

/// The patterns of a rule, with their alternatives expanded.
pub(crate) fn patterns(line: &'static str) -> impl Iterator<Item = String> {
    line.split_whitespace().flat_map(alternatives)
}

fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![pattern.to_owned()] };
    inside.split(',').flat_map(|choice| alternatives(&format!("{before}{choice}{after}"))).collect()
}

/// The rule against a full path. Macros end with `!`.
pub(crate) fn find(path: &[String]) -> Option<&'static Rule> {
    let patterns = &table().patterns;
    if let Some(found) = patterns.get(&path.join("::")) {
        return *found;
    }
    // An error type is an ordinary value.
    if path.iter().skip(1).any(|segment| segment.ends_with("Error") || segment == "ErrorKind") {
        return None;
    }
    (1..path.len())
        .rev()
        .find_map(|length| patterns.get(&format!("{}::*", path[..length].join("::"))))
        .copied()
        .flatten()
}

/// Whether a pattern begins with this path or equals it.
pub(crate) fn is_known(path: &[String], is_macro: bool) -> bool {
    let mut path = canonical(path.to_vec()).join("::");
    if is_macro && !path.ends_with('!') {
        path.push('!');
    }
    table().known.contains(&path)
}

/// Whether some pattern is about this crate.
pub(crate) fn is_crate(name: &str) -> bool {
    table().known.contains(name)
}

/// Converts a path to the form that the patterns use.
pub(crate) fn canonical(mut path: Vec<String>) -> Vec<String> {
    // A re-export may refer to another one.
    for _ in 0..SAME.len() {
        let found = SAME.iter().find_map(|(from, to)| {
            let from: Vec<&str> = from.split("::").collect();
            let fits = path.len() >= from.len() && path.iter().zip(&from).all(|(have, want)| have == want);
            fits.then_some((from.len(), *to))
        });
        let Some((length, to)) = found else { break };
        path.splice(..length, to.split("::").map(str::to_owned));
    }
    path
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
