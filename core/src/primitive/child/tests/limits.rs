//! Many children, limits, and what replays and halts do about births.

use super::*;
use crate::flow::{secs, sleep, spawn};

workflow!(Fan: async {
    let ships = (0..1_000).map(ship).collect::<Vec<_>>();
    let all = futures::future::join_all(ships);
    let ended = crate::flow::assume_deterministic("only children", all).await;
    Ok(ended.into_iter().map(|end| end.unwrap_or(0)).sum::<u32>().to_string())
});

#[test]
fn a_thousand_children_are_joined() {
    let (mut exec, first) = started::<Fan>();
    assert_eq!((first.births.len(), first.events.len()), (1_000, 1_001));
    let second = exec.turn((2..502).map(|child| completed(child, 1)).collect(), 2_000);
    assert_eq!(second.standing, Standing::Open);
    let mut again = replays::<Fan>(&[&first, &second]);
    let rest = || (502..1_002).map(|child| completed(child, 2)).collect();
    let third = exec.turn(rest(), 3_000);
    assert_eq!(result(&third), "1500");
    assert_eq!(result(&again.turn(rest(), 3_000)), "1500");
    replays::<Fan>(&[&first, &second, &third]);
}

workflow!(TooMany: async {
    let mut open = Vec::new();
    for n in 0..2_000 {
        open.push(ship(n).start().await?);
    }
    Ok(format!("{:?}", ship(0).start().await.map(|_| ())))
});

#[test]
fn two_thousand_may_be_open() {
    let (_, first) = started::<TooMany>();
    let told = result(&first);
    assert!(told.contains("AB0617: 2,000 children of this execution are open"), "{told}");
}

workflow!(Wrong: async {
    let long = "x".repeat(1_001);
    let calls = [ship(0).id(""), ship(0).task_queue(&long), ship(0).execution_timeout(std::time::Duration::ZERO)];
    let mut told = String::new();
    for call in calls {
        told += &format!("{:?}\n", call.await);
    }
    Ok(told)
});

#[test]
fn what_is_wrong_with_a_call_is_its_error() {
    let (_, first) = started::<Wrong>();
    let told = result(&first);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains("AB0412: the workflow id of a child `ship` has 0 characters"), "{told}");
    assert!(lines[1].contains("AB0412: the task queue of a child `ship` has 1001 characters"), "{told}");
    assert!(lines[2].contains("AB0430: the call of workflow `ship` has a execution_timeout"), "{told}");
    assert!(first.births.is_empty() && first.events.len() == 2);
}

workflow!(Deep: async { Ok(format!("{:?} {:?}", ship(1).await, crate::flow::info().parent)) });

#[test]
fn a_recursion_ends_at_a_depth_of_a_thousand() {
    let turn = |depth| {
        let mut exec = new::<Deep>();
        exec.turn(vec![start(depth)], 1_000)
    };
    assert_eq!(turn(999).births[0].depth, 1_000);
    let told = result(&turn(1_000));
    assert!(told.contains("AB0618: ") && told.contains("above"), "{told}");
}

workflow!(Other: async { Ok(ship(4).await?.to_string()) });
workflow!(OtherId: async { Ok(ship(3).id("ship-7").await?.to_string()) });

#[test]
fn another_input_or_id_is_another_child() {
    let (_, first) = started::<One>();
    let told = |mut again: Execution| match again.replay(vec![row(&first)]) {
        Standing::Suspended(reason) if reason.code == "AB0201" => reason.message,
        other => panic!("{other:?}"),
    };
    let message = told(new::<Other>());
    assert!(message.contains("child `ship` with an input of 3 bytes"), "{message}");
    assert!(message.contains("the same child with another input"), "{message}");
    told(new::<OtherId>());
}

workflow!(Halted: async {
    let call = spawn(ship(3));
    sleep(secs(1)).await;
    drop(call);
    panic!("bad")
});

#[test]
fn a_halted_turn_bears_what_its_marked_events_say() {
    let (mut exec, first) = started::<Halted>();
    assert_eq!(births(&first).len(), 1);
    let second = exec.turn(vec![], 2_000);
    assert!(matches!(second.standing, Standing::Suspended(_)));
    assert_eq!(second.births, []);
}

#[test]
fn a_replay_that_goes_on_beyond_its_history_bears_by_its_next_turn() {
    let started = Event::Started {
        input: Payload::encode(&()).unwrap(),
        seed: 1,
        rules: crate::RULES,
        early: 0,
        context: Box::default(),
    };
    let mut exec = new::<One>();
    exec.replay(vec![JournalRow { seq: EventId(1), at_ms: 1_000, events: vec![started] }]);
    let turn = exec.turn(vec![], 2_000);
    assert_eq!((births(&turn), turn.births[0].ids.execution), (vec![(2, "r1/2")], ExecutionId(101)));
}

#[test]
fn a_call_can_be_sent_and_a_handle_stays_on_its_thread() {
    fn sends<T: Send>(_: &T) {}
    sends(&ship(1));
    let told = std::panic::catch_unwind(|| futures::executor::block_on(ship(1))).unwrap_err();
    let told = crate::exec::panic_message(&*told);
    assert!(told.starts_with("AB0210: ") && told.contains("client.start(..)"), "{told}");
}
