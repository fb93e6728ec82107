//! A virtual process: its own tokio runtime with a paused clock, which runs the real engine with its workers.
//!
//! It is stepped from outside. Dropping its runtime is `kill -9`: everything stops at its current await. A
//! process that is not stepped for a while behaves like a stopped one, whose clock has moved on when it
//! continues.

use super::trace::Trace;
use crate::calls::Answer;
use crate::dice::Dice;
use crate::effects::{self, Effects, Log};
use crate::revision::Release;
use crate::scenario::Scenario;
use crate::{interpret, revised};
use abide::__private::simulation::{self, Database, Process as Engine};
use abide::{Abide, Client, WorkerBuilder};
use futures::future::LocalBoxFuture;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, LocalOptions, LocalRuntime};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A runtime with a paused clock, and the virtual time at which it began.
pub(super) struct Timeline {
    pub(super) runtime: LocalRuntime,
    began: Instant,
    born: Duration,
}

impl Timeline {
    /// A runtime that begins at this virtual time.
    pub(super) fn new(born: Duration) -> Self {
        let built = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build_local(LocalOptions::default());
        let runtime = built.expect("a runtime without I/O can be built");
        let began = runtime.block_on(async { Instant::now() });
        Self { runtime, began, born }
    }

    /// Runs it up to this virtual time, timer by timer.
    pub(super) fn step(&self, to: Duration) {
        let at = self.began + to.saturating_sub(self.born);
        self.runtime.block_on(async { tokio::time::sleep_until(at).await });
    }

    /// Moves its clock in one step, as for a process that was stopped.
    pub(super) fn wake(&self, to: Duration) {
        self.runtime.block_on(async {
            let at = self.began + to.saturating_sub(self.born);
            tokio::time::advance(at.saturating_duration_since(Instant::now())).await;
        });
    }
}

/// The settings of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    threads: usize,
    cache_bytes: usize,
    slots: usize,
    grace: Duration,
    checks_replay: bool,
    /// The release of the workflow that it runs, if any.
    home: Option<Release>,
    away: bool,
}

impl Setup {
    pub(super) fn draw(dice: &mut Dice, number: u32, scenario: &Scenario) -> Self {
        // The first two serve everything, so that every program finds a worker.
        let both = number < 2;
        let only_away = !both && dice.chance(40);
        // A hanging activity keeps its slot, and may wait for an activity that needs one.
        let hangs = scenario.hangs();
        let release = Release::draw(dice, u64::from(number), scenario.is_revised());
        Self {
            threads: dice.between(1, 2) as usize,
            cache_bytes: dice.of(&[0, 20_000, 1 << 28, 1 << 28]),
            slots: if hangs { 100 } else { dice.of(&[1, 2, 5, 100, 100]) },
            grace: Duration::from_millis(dice.of(&[0, 50, 1_000, 10_000])),
            checks_replay: dice.chance(15),
            home: (!only_away).then_some(release),
            away: both || only_away || dice.chance(50),
        }
    }

    fn set(&self, worker: WorkerBuilder) -> WorkerBuilder {
        let worker = worker
            .workflow_threads(self.threads)
            .cache_bytes(self.cache_bytes)
            .max_concurrent_activities(self.slots)
            .shutdown_grace(self.grace)
            // Kills are frequent here, and no execution is their cause.
            .max_crashes(1_000);
        if self.checks_replay { worker.checks_replay(true) } else { worker }
    }
}

/// The state of a process, for clients and the world.
pub(super) struct Life {
    pub(super) client: Client,
    handle: Handle,
    pub(super) alive: Cell<bool>,
    stopping: Cell<bool>,
    news: Notify,
    /// The process was asked to stop, and has stopped.
    pub(super) stopped: Cell<bool>,
}

impl crate::client::Inside for Rc<Life> {
    fn ask<'f>(
        &self,
        call: LocalBoxFuture<'f, Result<Answer, abide::Error>>,
    ) -> LocalBoxFuture<'f, Result<Answer, abide::Error>> {
        self.inside(call)
    }
}

impl Life {
    pub(super) fn end(&self) {
        self.alive.set(false);
        self.news.notify_waiters();
    }

    /// Asks its workers to shut down.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
        self.news.notify_waiters();
    }

    async fn stopping(&self) {
        self.until(|| self.stopping.get()).await;
    }

    /// Resolves when the process has died.
    pub(super) fn gone(self: &Rc<Self>) -> LocalBoxFuture<'static, ()> {
        let life = Rc::clone(self);
        Box::pin(async move { life.until(|| !life.alive.get()).await })
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if is_so() {
                return;
            }
            news.await;
        }
    }

    /// Polls the future as a task of this process: with its clock, and never after its death.
    pub(super) fn inside<'f, T: 'f>(self: &Rc<Self>, future: LocalBoxFuture<'f, T>) -> LocalBoxFuture<'f, T> {
        Box::pin(Inside { life: Rc::clone(self), future: Some(future) })
    }
}

struct Inside<'f, T> {
    life: Rc<Life>,
    future: Option<LocalBoxFuture<'f, T>>,
}

impl<T> Future for Inside<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if !self.life.alive.get() {
            return Poll::Pending;
        }
        let life = Rc::clone(&self.life);
        let _entered = life.handle.enter();
        match self.future.as_mut() {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Inside<'_, T> {
    fn drop(&mut self) {
        // Its timers need their runtime when they are dropped.
        let life = Rc::clone(&self.life);
        let _entered = life.alive.get().then(|| life.handle.enter());
        self.future = None;
    }
}

/// A process. Dropping its runtime ends it.
pub(super) struct Process {
    pub(super) number: u32,
    pub(super) timeline: Timeline,
    abide: Abide,
    pub(super) life: Rc<Life>,
    /// The process is not stepped before this time.
    pub(super) stopped_until: Option<Duration>,
}

impl Process {
    /// Begins a process at this virtual time.
    pub(super) fn begin(
        database: &Database,
        log: &Log,
        trace: &Arc<Trace>,
        (seed, setup, now): (u64, Setup, Duration),
    ) -> Self {
        let timeline = Timeline::new(now);
        let engine = timeline.runtime.block_on(async { database.process(seed) });
        let Engine { abide, number, .. } = &engine;
        let life = Rc::new(Life {
            client: abide.client(),
            handle: timeline.runtime.handle().clone(),
            alive: Cell::new(true),
            stopping: Cell::new(false),
            news: Notify::new(),
            stopped: Cell::new(false),
        });
        let serving =
            serve(abide.clone(), setup, Effects::new(log, *number), Rc::clone(&life), Arc::clone(trace));
        let (number, abide) = (*number, abide.clone());
        // The store is dropped with the runtime.
        timeline.runtime.spawn_local(async move {
            serving.await;
            drop(engine);
        });
        Self { number, timeline, abide, life, stopped_until: None }
    }

    /// What it keeps in memory for executions, as text.
    pub(super) fn keeps(&self) -> Vec<String> {
        simulation::keeps(&self.abide)
    }
}

/// Runs its workers until they are asked to stop.
async fn serve(abide: Abide, setup: Setup, effects: Effects, life: Rc<Life>, trace: Arc<Trace>) {
    let mut builders: Vec<fn(&Abide, Effects) -> WorkerBuilder> = Vec::new();
    builders.extend(setup.home.map(|release| match release {
        Release::First => interpret::home as fn(&Abide, Effects) -> WorkerBuilder,
        Release::Second => revised::home,
    }));
    if setup.away {
        builders.push(effects::away);
    }
    let each = builders.iter().map(|build| {
        let build = || setup.set(build(&abide, effects.clone()));
        work(build, &life, &trace)
    });
    futures::future::join_all(each).await;
    life.stopped.set(true);
}

/// Runs one worker, and starts it again if it stops by itself.
async fn work(build: impl Fn() -> WorkerBuilder, life: &Life, trace: &Trace) {
    loop {
        match build().start().await {
            Ok(mut worker) => {
                let ended = tokio::select! {
                    biased;
                    () = life.stopping() => None,
                    ended = worker.stopped() => Some(ended),
                };
                match ended {
                    None => {
                        let ended = worker.shutdown().await;
                        return trace.add(|| format!("a worker has shut down: {ended:?}"));
                    }
                    Some(ended) => trace.add(|| format!("a worker stops: {ended:?}")),
                }
            }
            Err(error) => trace.add(|| format!("a worker does not start: {error}")),
        }
        tokio::select! {
            biased;
            () = life.stopping() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
