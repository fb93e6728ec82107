//! A simulation is worth nothing if the same seed gives another run.

use super::super::End;
use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Courses drawn from a seed.
struct Dice {
    state: AtomicU64,
    trace: Mutex<Vec<String>>,
}

impl Dice {
    /// Knuth's generator: any will do that is the same everywhere.
    fn roll(&self, sides: u64) -> u64 {
        let next = |state: u64| {
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
        };
        let old = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(next(state)));
        (next(old.unwrap()) >> 33) % sides
    }
}

impl Conditions for Dice {
    fn course(&self, call: &Call) -> Course {
        let end = match self.roll(12) {
            0 => End::BrokenBefore,
            1 => End::BrokenAfter,
            2 => End::Refused(Fault::Busy),
            3 => End::Refused(Fault::Lost),
            _ => End::Answered,
        };
        let time = || ms(self.roll(40));
        let (before, between, held, after) = (time(), time(), time(), time());
        let told = (self.roll(2) == 0).then(|| ms(self.roll(60)));
        self.trace.lock().unwrap().push(format!("{call:?} {end:?}"));
        Course { before, between, held, after, end, told }
    }

    fn notify_after(&self) -> Option<Duration> {
        (self.roll(4) > 0).then(|| ms(self.roll(30)))
    }

    fn committed(&self, call: &Call, writes: &[Write], tables: &Tables) {
        let mut trace = self.trace.lock().unwrap();
        trace.extend(writes.iter().map(|write| format!("{} {write}", call.nth)));
        for (id, execution) in &tables.executions {
            let turns = tables.turns(*id).map(|turn| (turn.seq.0, turn.n));
            let joins_up = turns.fold(1, |next, (seq, n)| if seq == next { next + u64::from(n) } else { 0 });
            assert!(joins_up > 0, "the journal of {execution:?} does not join up");
        }
    }
}

/// A process that starts, writes to what the others have, and closes.
async fn work(server: Arc<Server>, number: u64) -> Vec<String> {
    let store = server.connect(ConnectOptions { own_clock: true, ..ConnectOptions::default() });
    let me = loop {
        if let Ok(me) = store.register(WorkerInfo { queue: "q".into(), ..WorkerInfo::default() }).await {
            break me;
        }
    };
    let (process, mut told) = (Process { store, me }, Vec::new());
    for n in 0..6 {
        let new = process.new_execution(&format!("order-{}", (n + number) % 4));
        let id = new.id;
        // What is told must not hold the time of day.
        let new = NewExecution { run_id: format!("run-{id}"), ..new };
        let mut append = process.create(new);
        append.messages = vec![process.message(ExecutionId((1 << 40) + n as i64), &format!("m{number}-{n}"))];
        let began = process.append(append).await;
        let goes_on = matches!(began, Ok(AppendOutcome::Done));
        told.push(format!("{began:?}"));
        told.push(format!("{:?}", process.store.send(process.message(id, "s")).await));
        told.push(format!("{:?}", process.store.renew(me).await));
        let consumed = process.store.load(id).await.ok().flatten().map_or_else(Vec::new, |run| run.inbox);
        let consumed = consumed.iter().map(|row| row.id).collect();
        if goes_on {
            told.push(format!("{:?}", process.append(Append { consumed, ..process.close(id, 2) }).await));
        }
        told.push(format!("{:?}", process.store.claim(process.claim_of("b1", false)).await));
    }
    told
}

fn run(seed: u64) -> (Vec<String>, Vec<Vec<String>>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let dice = Arc::new(Dice { state: AtomicU64::new(seed), trace: Mutex::default() });
        let began = Instant::now();
        let options = ServerOptions::new(Arc::new(move || 1_000_000 + began.elapsed().as_millis() as i64));
        let conditions = Some(Arc::clone(&dice) as Arc<dyn Conditions>);
        let server = Server::new(ServerOptions { conditions, runtime: Some(Handle::current()), ..options });
        let working: Vec<_> = (0..3).map(|n| tokio::spawn(work(Arc::clone(&server), n))).collect();
        let mut told = Vec::new();
        for one in working {
            told.push(one.await.unwrap());
        }
        let trace = std::mem::take(&mut *dice.trace.lock().unwrap());
        (trace, told)
    })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 1..20 {
        let first = run(seed);
        assert!(first.0.len() > 200, "{}", first.0.len());
        let second = run(seed);
        let differs = first.0.iter().zip(&second.0).position(|(first, second)| first != second);
        let around =
            differs.map(|at| (at, &first.0[at.saturating_sub(2)..=at], &second.0[at.saturating_sub(2)..=at]));
        assert!(first == second, "seed {seed}: {around:#?}\n{:#?}\n{:#?}", first.1, second.1);
    }
    assert!(run(1) != run(2));
}
