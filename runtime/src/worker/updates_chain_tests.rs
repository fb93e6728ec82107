//! An update and the runs of a chain: its id is known to those that follow.

use abide_core::exec::{Execution, Input, Turn, UpdateAsk, UpdateState, WorkflowType};
use abide_core::flow::{Info, continue_as_new, secs, sleep};
use abide_core::{
    Carried, Event, EventId, Payload, Sel, Site, Slot, StartContext, UpdateFn, UpdateRun, WorkflowCall,
    WorkflowDef, guard,
};
use std::rc::Rc;

static SITE: Site = Site { file: "updates_chain_tests.rs", line: 1, column: 1, text: "an await" };

/// Goes on as a new run after a second.
struct Loop;

impl WorkflowDef for Loop {
    const NAME: &'static str = "loop";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> u32 {
        guard(sleep(secs(1)), &SITE).await;
        guard(continue_as_new(WorkflowCall::<Loop>::new(&())), &SITE).await
    }

    fn update(name: &str) -> Option<UpdateFn<()>> {
        let run = UpdateRun::Sync(|(), input| Ok(Ok(input.clone())));
        (name == "note").then_some(UpdateFn { validate: |(), _| Ok(Ok(())), run })
    }
}

fn fresh(run_id: &str) -> Execution {
    let info = Info::new("w".to_owned(), run_id.to_owned(), "loop".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Loop>(), info, Rc::new(|_: &str| true))
}

fn start(carried: Carried) -> Input {
    let context = StartContext { carried, ..StartContext::default() };
    Input::Start { input: Payload::encode(&()).unwrap(), seed: 1, context: Box::new(context) }
}

fn asked(update_id: &str) -> Input {
    let (input, ask) = (Some(Payload::null()), "an ask".to_owned());
    let (update_id, name) = (update_id.to_owned(), "note".to_owned());
    Input::Update(Box::new(UpdateAsk { update_id, name, input, ask, asker: None }))
}

fn accepted(turn: &Turn) -> Vec<&str> {
    let mut ids = Vec::new();
    for event in &turn.events {
        if let Event::UpdateAccepted { update_id, .. } = event {
            ids.push(update_id.as_str());
        }
    }
    ids
}

fn earlier(turn: &Turn) -> Vec<&str> {
    let mut runs = Vec::new();
    for news in &turn.updates {
        if let UpdateState::Earlier(run_id) = &news.state {
            runs.push(run_id.as_str());
        }
    }
    runs
}

#[test]
fn an_update_is_accepted_once_in_a_chain() {
    #[cfg(all(feature = "mutants", feature = "postgres"))]
    crate::store::postgres::permutations::mutants::let_live_by_environment();
    let mut first = fresh("first");
    let turn = first.turn(vec![start(Carried::default()), asked("a"), asked("a")], 1_000);
    assert_eq!(accepted(&turn), ["a"]);
    assert!(first.turn(Vec::new(), 2_000).hands_on());
    let handed = first.carried();
    let ids: Vec<_> = handed.updates.iter().map(|u| (u.update_id.as_str(), u.run_id.as_str())).collect();
    assert_eq!(ids, [("a", "first")]);

    // Known before `run` is polled, and later.
    let mut second = fresh("second");
    let began = second.turn(vec![start(handed), asked("a"), asked("b")], 2_000);
    assert_eq!((accepted(&began), earlier(&began)), (vec!["b"], vec!["first"]));
    let Event::Started { early, .. } = &began.events[0] else { panic!("{:?}", began.events) };
    assert_eq!(*early, 1, "one update is an event");
    assert!(began.events.iter().any(|event| matches!(event, Event::TimerStarted { .. })), "`run` has begun");
    let asked_again = second.turn(vec![asked("a"), asked("b")], 2_500);
    assert_eq!((accepted(&asked_again), earlier(&asked_again)), (vec![], vec!["first"]));
    assert_eq!(asked_again.seq, EventId(began.events.len() as u64 + 1));

    assert!(second.turn(Vec::new(), 3_000).hands_on());
    let handed = second.carried().updates.into_iter().map(|update| (update.update_id, update.run_id));
    let handed: Vec<_> = handed.collect();
    let pair = |id: &str, run: &str| (id.to_owned(), run.to_owned());
    assert_eq!(handed, [pair("b", "second"), pair("a", "first")], "the newest first");
}
