//! Scenarios on real stores, in real time: several processes within this one, and faults between their
//! statements.
//!
//! The course depends on the machine's timing: a seed gives the same scenario and the same kinds of faults,
//! but not at the same moments.

mod fate;
mod process;

use crate::calls::Calls;
use crate::client::{self, Door, Entrance};
use crate::dice::Dice;
use crate::effects::Log;
use crate::evidence::{Evidence, Look, Violation, Weather, gather};
use crate::oracle;
use crate::report::Outcome;
use crate::revision::Release;
use crate::scenario::Scenario;
use cluster::Cluster;
use fate::{Counts, Fate};
use futures::FutureExt;
use process::{Build, Place, Process};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The divisor of a scenario's times.
const FASTER: u64 = 8;
/// How long a scenario may take before it counts as stuck: several leases.
const PATIENCE: Duration = Duration::from_secs(90);
/// The pause between two reads of the histories.
const LOOK: Duration = Duration::from_millis(200);

/// The store.
pub(crate) enum Store {
    Sqlite,
    Postgres(Cluster),
}

/// Runs the scenario of a seed.
pub(crate) async fn run(store: &Store, seed: u64, faults: bool) -> Outcome {
    let counts = Arc::new(Counts::default());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let place = match store {
        Store::Sqlite => Place {
            url: format!("sqlite://{}", folder.path().join("abide.db").display()),
            schema: "abide".to_owned(),
            folder: Some(folder.path().to_owned()),
        },
        Store::Postgres(cluster) => Place {
            url: cluster.url("postgres"),
            schema: format!("run_{seed}_{}", std::process::id()),
            folder: None,
        },
    };
    let scenario = Scenario::generate(seed).scale(FASTER).with_transactions();
    let site = Site {
        place,
        log: Log::default(),
        slots: RefCell::new(Vec::new()),
        next: Cell::new(0),
        dice: RefCell::new(Dice::new(seed ^ 0x5eed_0000_fa11)),
        faults,
        counts,
        hangs: scenario.hangs(),
        revised: scenario.is_revised(),
        notes: RefCell::default(),
        over: Over::default(),
    };
    site.play(scenario).await
}

/// The processes of one run.
struct Site {
    place: Place,
    log: Log,
    /// A slot for each process. `None` while its process is dead.
    slots: RefCell<Vec<Option<Process>>>,
    next: Cell<u32>,
    dice: RefCell<Dice>,
    faults: bool,
    /// Whether an activity may hang and keep a slot that other activities need.
    hangs: bool,
    /// Whether two releases of the scenario's programs differ.
    revised: bool,
    counts: Arc<Counts>,
    /// What happened to the processes, for people.
    notes: RefCell<Vec<String>>,
    /// Set when the scripts have been played: no process dies any more.
    over: Over,
}

impl Site {
    async fn play(&self, scenario: Scenario) -> Outcome {
        let observer = self.place.look().await.expect("the database can be opened");
        self.place.prepare().await.expect("a table can be made");
        let count = self.dice.borrow_mut().between(2, 3);
        for slot in 0..count {
            let process = self.process(slot).await;
            self.slots.borrow_mut().push(Some(process));
        }
        let calls = Calls::default();
        let looks = RefCell::new(Vec::new());
        let client = observer.client();
        let play = async {
            // Work that is not done by then shows in the histories.
            let _ = tokio::time::timeout(PATIENCE, client::play(self, &scenario, &calls)).await;
            self.over.cancel();
        };
        futures::join!(play, self.look(&client, &scenario, &looks), self.trouble());
        let living: Vec<Process> = self.slots.borrow_mut().drain(..).flatten().collect();
        for process in living {
            process.leave(true).await;
        }
        let runs = gather(&client, &scenario).await;
        let (runs, lost) = match runs {
            Ok(runs) => (runs, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let weather = Weather { losses: self.faults, delays: true };
        let (log, looks) = (self.log.entries(), looks.into_inner());
        let written = self.place.written().await.expect("the table can be read");
        let (calls, failures) = (calls.all(), None);
        let times = None;
        let evidence = Evidence { scenario, weather, log, calls, runs, looks, failures, written, times };
        let mut violations = oracle::check(&evidence);
        let all = || "all".to_owned();
        violations.extend(lost.map(|text| Violation { rule: "gather", of: all(), text }));
        Outcome { evidence, violations, faults: self.counts.all(), digest: 0, trace: self.notes.take() }
    }

    /// Starts another process. The first process of a simulation has all workers, and the second has the
    /// other release, so that every run finds a worker in the end.
    async fn process(&self, slot: u64) -> Process {
        let number = self.next.replace(self.next.get() + 1);
        let (build, fate) = {
            let mut dice = self.dice.borrow_mut();
            let build = Build {
                cache_bytes: if dice.chance(40) { 1 } else { 64 << 20 },
                slots: if self.hangs { 100 } else { usize::try_from(dice.tail(1, 64)).unwrap_or(1) },
                release: Release::draw(&mut dice, slot, self.revised),
                away: slot == 0 || dice.chance(70),
            };
            let fate = match self.faults {
                true => Fate::rough(&mut dice, &self.counts),
                false => Fate::calm(&self.counts),
            };
            (build, fate)
        };
        let process = Process::start(number, &self.place, &self.log, build, fate).await;
        self.note(format!("process {number} is up, {build:?}"));
        process
    }

    /// Reads the histories repeatedly.
    async fn look(&self, client: &abide::Client, scenario: &Scenario, looks: &RefCell<Vec<Look>>) {
        while self.over.sleep(LOOK).await {
            if let Ok(runs) = gather(client, scenario).await {
                looks.borrow_mut().push(Look::of(&runs, self.log.len()));
            }
        }
    }

    /// Some processes die and are replaced. After that there are no faults, and everything that was begun
    /// must end.
    async fn trouble(&self) {
        let deaths = if self.faults { self.dice.borrow_mut().tail(1, 12) } else { 0 };
        for _ in 0..deaths {
            let (wait, slot) = {
                let mut dice = self.dice.borrow_mut();
                (dice.ms(5, 500), dice.below(self.slots.borrow().len() as u64))
            };
            let slot = usize::try_from(slot).unwrap_or(0);
            let (slot, dies) = tokio::select! {
                biased;
                slot = self.somebody_dies() => (slot, true),
                goes_on = self.over.sleep(Duration::from_millis(wait)) => match goes_on {
                    true => (slot, false),
                    false => return,
                },
            };
            let Some(process) = self.slots.borrow_mut()[slot].take() else { continue };
            self.end(process, dies).await;
            let pause = self.dice.borrow_mut().ms(1, 400);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let process = self.process(slot as u64).await;
            self.slots.borrow_mut()[slot] = Some(process);
        }
        self.slots.borrow().iter().flatten().for_each(|process| process.fate.mend());
        self.note("the faults are over");
    }

    fn note(&self, text: impl Into<String>) {
        let at = self.log.len();
        self.notes.borrow_mut().push(format!("after line {at} of the log: {}", text.into()));
    }

    /// Waits until a process has reached the stage at which it dies.
    async fn somebody_dies(&self) -> usize {
        let fates: Vec<_> = {
            let slots = self.slots.borrow();
            let living = slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
            living.map(|(at, process)| (at, Arc::clone(&process.fate))).collect()
        };
        let dying = fates.into_iter().map(|(at, fate)| {
            async move {
                fate.dying.notified().await;
                at
            }
            .boxed_local()
        });
        let dying: Vec<_> = dying.collect();
        if dying.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(dying).await.0
    }

    async fn end(&self, process: Process, dies: bool) {
        let (kills, at_once, gracefully) = {
            let mut dice = self.dice.borrow_mut();
            (dies || dice.chance(50), dice.chance(85), dice.chance(60))
        };
        let number = process.number;
        match kills {
            true => {
                let how = if dies { "in a commit" } else { "between commits" };
                let told = if at_once { "its locks tell" } else { "its leases tell" };
                self.note(format!("process {number} is killed {how}, {told}"));
                Counts::add(&self.counts.killed);
                process.kill(at_once);
            }
            false => {
                let how = if gracefully { "shuts down" } else { "drops its workers" };
                self.note(format!("process {number} {how}"));
                Counts::add(&self.counts.restarted);
                process.leave(gracefully).await;
            }
        }
    }
}

/// Whether it is over. With this, a process is never dropped in the middle of its end.
#[derive(Default)]
struct Over {
    so: Cell<bool>,
    told: Notify,
}

impl Over {
    fn cancel(&self) {
        self.so.set(true);
        self.told.notify_waiters();
    }

    fn is_so(&self) -> bool {
        self.so.get()
    }

    /// Sleeps. False if it is over.
    async fn sleep(&self, time: Duration) -> bool {
        let told = self.told.notified();
        if !self.is_so() {
            let _ = tokio::time::timeout(time, told).await;
        }
        !self.is_so()
    }
}

impl Door for Site {
    async fn enter(&self, which: u32) -> Entrance {
        loop {
            let entered = {
                let slots = self.slots.borrow();
                let living: Vec<&Process> = slots.iter().flatten().collect();
                living.get(which as usize % living.len().max(1)).map(|process| {
                    let (client, mut gone) = (process.abide.client(), process.gone());
                    let gone = async move { drop(gone.wait_for(|gone| *gone).await) };
                    Entrance { client, gone: gone.boxed_local(), inside: None }
                })
            };
            match entered {
                Some(entrance) => return entrance,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}
