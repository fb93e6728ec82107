//! Names that look forbidden and are the user's own: they are resolved, never matched by their last segment.
#![deny(warnings)]

use abide::prelude::*;
use my::fs as files;
use my::rand::{self, random};
use my::{Instant, Mutex, SystemTime, env, thread, tokio};
use std::collections::BTreeMap;

/// A user's own modules, named as he likes.
mod my {
    #[derive(Clone, Copy, Default)]
    pub struct Instant(pub u64);

    impl Instant {
        pub fn now() -> Self {
            Self(7)
        }

        pub fn elapsed(self) -> u64 {
            self.0
        }
    }

    pub struct SystemTime;

    impl SystemTime {
        pub const UNIX_EPOCH: u64 = 0;

        pub fn now() -> Instant {
            Instant(8)
        }
    }

    #[derive(Default)]
    pub struct Mutex<T>(T);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(value)
        }

        pub fn lock(&mut self) -> &mut T {
            &mut self.0
        }
    }

    pub mod rand {
        pub fn random() -> u32 {
            4
        }

        pub fn thread_rng() -> u32 {
            5
        }

        pub mod rngs {
            pub struct OsRng;
        }
    }

    pub mod fs {
        pub fn read_to_string(name: &str) -> String {
            name.to_uppercase()
        }

        pub fn exists(name: &str) -> bool {
            !name.is_empty()
        }
    }

    pub mod env {
        pub fn var(name: &str) -> Option<&str> {
            Some(name)
        }
    }

    pub mod thread {
        pub fn sleep(minutes: u32) -> u32 {
            minutes
        }

        pub fn spawn<T>(work: impl FnOnce() -> T) -> T {
            work()
        }
    }

    pub mod tokio {
        pub fn spawn(n: u32) -> u32 {
            n
        }

        pub mod time {
            pub fn sleep(n: u32) -> u32 {
                n
            }
        }

        pub mod sync {
            pub struct Notify;
        }
    }
}

/// A map that keeps its order, under a name that does not say so.
type HashMap<K, V> = BTreeMap<K, V>;

#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Clock {
    Instant,
    SystemTime(u64),
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Shift {
    time: u64,
    rand: u32,
    env: String,
    sleep: u32,
    now: u64,
}

impl Shift {
    fn now(&self) -> u64 {
        self.time + self.now
    }

    fn exists(&self) -> bool {
        self.time > 0
    }

    fn send(&mut self, text: &str) -> usize {
        self.env.push_str(text);
        self.env.len()
    }

    fn join(self) -> String {
        self.env
    }

    fn keys(&self) -> [u32; 2] {
        [self.rand, self.sleep]
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.keys().into_iter()
    }
}

struct Uuid;

impl Uuid {
    fn new_v4() -> u128 {
        4
    }
}

fn sleep(minutes: u32) -> u32 {
    minutes * 60
}

fn spawn(n: u32) -> u32 {
    n + 1
}

fn block_on(n: u32) -> u32 {
    n + 2
}

fn available_parallelism() -> u32 {
    2
}

macro_rules! say {
    ($($words:tt)*) => { format!($($words)*) };
}

macro_rules! hidden {
    ($n:expr) => {
        my::thread::sleep($n)
    };
}

mod inner {
    use super::my::{Instant, rand::random};

    /// The `use` of another module resolves here.
    pub(super) fn both() -> u64 {
        u64::from(random()) + Instant::now().elapsed()
    }
}

#[derive(Default)]
struct Day {
    shift: Shift,
    instant: Instant,
}

#[workflow]
impl Day {
    #[run]
    async fn run(&mut self, rand: u32, mut thread: Vec<u32>) -> Result<String, Failure> {
        let started = Instant::now();
        let time = SystemTime::now().elapsed() + SystemTime::UNIX_EPOCH + started.elapsed();
        self.instant = my::Instant::now();
        let instant = Clock::Instant;
        thread.push(rand);
        let mut lock = Mutex::new(time);
        *lock.lock() += 1;
        workflow::sleep(secs(1)).await;
        thread.push(random() + rand::random() + rand::thread_rng());
        let _ = (rand::rngs::OsRng, tokio::sync::Notify, &instant);
        let text = files::read_to_string("a") + &my::fs::read_to_string("b");
        if files::exists(&text) && self.shift.exists() {
            self.shift.send(env::var("REGION").unwrap_or_default());
        }
        let n = sleep(1) + spawn(2) + block_on(3) + available_parallelism() + hidden!(4);
        let n = n + thread::sleep(1) + thread::spawn(|| 2) + tokio::spawn(3) + tokio::time::sleep(4);
        let map: HashMap<u32, u32> = thread.iter().map(|n| (*n, *n)).collect();
        for (key, value) in &map {
            self.shift.time += u64::from(key + value);
        }
        let sum: u32 = map.values().sum::<u32>() + map.keys().sum::<u32>() + self.shift.iter().sum::<u32>();
        let words = say!("{} {n} {sum} {}", self.shift.now(), Uuid::new_v4());
        let id = inner::both();
        Ok(match instant {
            Clock::Instant => words,
            Clock::SystemTime(n) => say!("{n} {id}"),
        })
    }

    #[query]
    fn now(&self) -> u64 {
        self.shift.now()
    }

    #[signal]
    fn println(&mut self, text: String) {
        let shift = std::mem::take(&mut self.shift);
        self.shift.env = shift.join() + &text;
    }
}

/// A shadowed name is the local one.
#[workflow]
async fn shadowed(n: u32) -> u32 {
    fn random() -> u32 {
        3
    }
    struct Command;
    impl Command {
        fn new(n: u32) -> u32 {
            n
        }
    }
    let println = |n: u32| n;
    workflow::sleep(secs(1)).await;
    println(random()) + Command::new(n)
}

fn main() {
    let _ = |abide: &Abide| {
        let _ = abide.worker("q").workflow(Day::run).workflow(shadowed);
    };
    let _ = Clock::SystemTime(1);
}
