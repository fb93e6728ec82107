//! As a simulation has it: the database and each process on a runtime of its own, with a clock of its own,
//! stepped in turn by one thread.

use super::*;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// All runtimes, a millisecond at a time.
struct World {
    now_ms: Arc<AtomicI64>,
    database: Runtime,
    processes: Vec<Option<Runtime>>,
    server: Arc<Server>,
    script: Arc<Script>,
}

impl World {
    fn new(processes: usize) -> Self {
        let (now_ms, database) = (Arc::new(AtomicI64::new(1_000_000)), runtime());
        let (clock, script) = (Arc::clone(&now_ms), Arc::<Script>::default());
        let server = Server::new(ServerOptions {
            conditions: Some(Arc::clone(&script) as Arc<dyn Conditions>),
            runtime: Some(database.handle().clone()),
            ..ServerOptions::new(Arc::new(move || clock.load(Ordering::Relaxed)))
        });
        let processes = (0..processes).map(|_| Some(runtime())).collect();
        Self { now_ms, database, processes, server, script }
    }

    fn connect(&self, process: usize) -> Arc<MemoryStore> {
        let _entered = self.processes[process].as_ref().unwrap().enter();
        self.server.connect(ConnectOptions { own_clock: true, ..ConnectOptions::default() })
    }

    fn step(&self) {
        self.now_ms.fetch_add(1, Ordering::Relaxed);
        for advances in [ms(1), ms(0), ms(0)] {
            for runtime in self.processes.iter().flatten().chain([&self.database]) {
                runtime.block_on(async {
                    tokio::time::advance(advances).await;
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                });
            }
        }
    }

    /// Steps until it is there; how many steps.
    fn until<T: Send + 'static>(
        &self,
        on: usize,
        future: impl Future<Output = T> + Send + 'static,
    ) -> (T, u32) {
        let asked = self.processes[on].as_ref().unwrap().spawn(future);
        let mut steps = 0;
        while !asked.is_finished() {
            self.step();
            steps += 1;
            assert!(steps < 20_000, "it never ends");
        }
        (self.database.block_on(asked).unwrap(), steps)
    }
}

#[test]
fn a_process_dies_with_its_runtime_and_its_last_commit_does_not() {
    let mut world = World::new(2);
    let (a, b) = (world.connect(0), world.connect(1));
    let (a, _) = world.until(0, Process::of(a as Arc<dyn Store>));
    let number = b.process();
    let (b, _) = world.until(1, Process::of(b as Arc<dyn Store>));
    let new = b.new_execution("order-1");
    let id = new.id;
    let create = b.submit(b.create(new));
    assert!(matches!(world.until(1, create).0.unwrap(), Ok(AppendOutcome::Done)));
    world.script.courses.lock().unwrap().push(("append", number, held(100)));
    drop(b.submit(b.turn(id, 2, 1)));
    (0..10).for_each(|_| world.step());
    world.server.kill(number);
    drop(world.processes[1].take());
    (0..50).for_each(|_| world.step());
    assert_eq!(world.server.look(|tables| tables.turns(id).count()), 1);
    (0..50).for_each(|_| world.step());
    assert_eq!(world.server.look(|tables| tables.turns(id).count()), 2);
    // Its lock is free: its lease ends less than 5 s after it was last renewed.
    let dead = b.me;
    let store = Arc::clone(&a.store);
    let found = async move {
        while store.dead().await.unwrap().dead.is_empty() {
            pass(50).await;
        }
        store.take_over(dead).await.unwrap()
    };
    let (freed, steps) = world.until(0, found);
    assert_eq!(freed, 1);
    assert!((4_500..5_500).contains(&steps), "{steps}");
}

#[test]
fn a_call_takes_the_time_of_both_clocks() {
    let world = World::new(1);
    let a = world.connect(0);
    let course = Course { before: ms(10), after: ms(10), ..held(10) };
    world.script.courses.lock().unwrap().push(("renew", a.process(), course));
    let (a, _) = world.until(0, Process::of(a as Arc<dyn Store>));
    let (store, me) = (Arc::clone(&a.store), a.me);
    let (renewed, steps) = world.until(0, async move { store.renew(me).await });
    assert!(renewed.is_ok() && (30..36).contains(&steps), "{steps}");
}
