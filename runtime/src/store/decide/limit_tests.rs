//! What begins next: by priority, in turn, within the limits.

use super::*;

/// `n` due tasks of a key, with numbers from `from` on: the older the smaller.
fn due(priority: i16, fair_key: &str, limit_key: &str, weight: i32, from: i64, n: i64) -> Vec<Candidate> {
    let task = |i: i64| CandidateTask {
        execution: ExecutionId(i),
        activity: EventId(2),
        name: "charge".to_owned(),
        run_at_ms: i,
        weight,
        is_due: true,
    };
    let of = |i: i64| Candidate {
        priority,
        fair_key: fair_key.to_owned(),
        limit_key: limit_key.to_owned(),
        task: Some(task(i)),
    };
    (from..from + n).map(of).collect()
}

fn limit(most: Option<i32>, running: i64, tokens: f64) -> LimitRow {
    LimitRow { most, rate: Some(10.0), burst: 20.0, tokens, at_ms: 1_000, running }
}

/// The keys of what was picked, in order.
fn served(candidates: &[Candidate], picked: &Picked) -> String {
    picked.tasks.iter().map(|index| candidates[*index].fair_key.as_str()).collect::<Vec<_>>().join("")
}

#[test]
fn the_clock_refills_up_to_the_burst_and_never_runs_back() {
    let row = limit(None, 0, 3.0);
    assert_eq!(row.refilled(1_000), 3.0);
    assert_eq!(row.refilled(1_500), 8.0);
    assert_eq!(row.refilled(60_000), 20.0);
    assert_eq!(row.refilled(0), 3.0, "the clock was set back");
    assert_eq!(limit(Some(5), 2, 20.0).room(1_000), 3);
    assert_eq!(limit(Some(5), 9, 20.0).room(1_000), 0);
    assert_eq!(limit(Some(5), 0, 1.5).room(1_000), 1);
    assert_eq!(limit(None, 0, 0.0).next_token_ms(0, 1_000), Some(1_100));
    assert_eq!(limit(None, 0, 3.0).next_token_ms(3, 1_000), Some(1_100));
    assert_eq!(limit(None, 0, 3.0).next_token_ms(2, 1_000), None);
}

#[test]
fn a_higher_priority_goes_first() {
    let all = [due(3, "a", "", 1, 1, 5), due(1, "b", "", 1, 10, 2), due(5, "c", "", 1, 0, 5)].concat();
    let picked = pick(&all, &mut Rooms::default(), 4, &QueueTurn::default(), 0);
    assert_eq!(served(&all, &picked), "bbaa");
}

#[test]
fn keys_are_served_in_turn_by_their_weights_and_over_several_claims() {
    let all = [due(3, "a", "", 1, 1, 50), due(3, "b", "", 3, 0, 50), due(3, "c", "", 1, 100, 1)].concat();
    let picked = pick(&all, &mut Rooms::default(), 10, &QueueTurn::default(), 0);
    assert_eq!(served(&all, &picked), "abbbcabbba");
    assert_eq!(picked.turn, QueueTurn { fair_key: "a".into(), limit_key: String::new(), left: 0 });
    let mut turn = QueueTurn::default();
    let mut one_by_one = String::new();
    let mut left = all.clone();
    for _ in 0..10 {
        let picked = pick(&left, &mut Rooms::default(), 1, &turn, 0);
        one_by_one += &served(&left, &picked);
        left.remove(picked.tasks[0]);
        turn = picked.turn;
    }
    assert_eq!(one_by_one, "abbbcabbba", "a claim of one goes on where the one before stopped");
}

#[test]
fn a_limit_bounds_what_begins_and_a_held_one_is_asked_again() {
    let all =
        [due(3, "", "charge", 1, 1, 9), due(3, "", "", 1, 20, 2), due(3, "", "refund", 1, 30, 2)].concat();
    let mut rooms = Rooms::default();
    rooms.locked("charge".to_owned(), limit(Some(5), 3, 9.0), 1_000);
    rooms.held("refund".to_owned());
    let picked = pick(&all, &mut rooms, 100, &QueueTurn::default(), 1_000);
    let of = |key: &str| picked.tasks.iter().filter(|index| all[**index].limit_key == key).count();
    assert_eq!((of("charge"), of(""), of("refund")), (2, 2, 0));
    assert!(picked.soon && picked.next_due_ms.is_none());
    assert_eq!(rooms.tokens(1_000).collect::<Vec<_>>(), [("charge", 9.0)]);
}

#[test]
fn an_empty_bucket_says_when_to_come_again() {
    let all = due(3, "", "charge", 1, 1, 9);
    let mut rooms = Rooms::default();
    rooms.locked("charge".to_owned(), limit(None, 0, 2.0), 1_000);
    let picked = pick(&all, &mut rooms, 100, &QueueTurn::default(), 1_000);
    assert_eq!((picked.tasks.len(), picked.next_due_ms, picked.soon), (2, Some(1_100), false));
}

#[test]
fn keys_behind_a_hundred_full_ones_are_reached() {
    let full: Vec<Candidate> =
        (0..GROUPS_AT_ONCE).flat_map(|i| due(3, "", &format!("charge/{i:03}"), 1, 1, 1)).collect();
    let mut rooms = Rooms::default();
    for candidate in &full {
        rooms.locked(candidate.limit_key.clone(), limit(Some(1), 1, 9.0), 1_000);
    }
    let picked = pick(&full, &mut rooms, 10, &QueueTurn::default(), 1_000);
    assert!(picked.tasks.is_empty() && picked.soon);
    assert_eq!(picked.turn.limit_key, "charge/099", "the next claim looks behind them");
}
