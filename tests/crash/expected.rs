//! What the senders' workflows must come to: from their number alone, as in `tests/src/victim/sender.rs`.

use crate::journal::Execution;
use serde_json::{Value, json};

/// Checks that all are closed, each with the right result.
pub(crate) fn all_right<'e>(executions: impl IntoIterator<Item = &'e Execution>) {
    for execution in executions {
        let id = &execution.workflow_id;
        let number = id.rsplit('-').next().and_then(|n| n.parse().ok()).expect("an id ends in its number");
        let result = execution.result.as_ref().unwrap_or(&Value::Null);
        let expected = expected(number);
        let found = match expected.get("failed") {
            Some(_) => json!({ "failed": result["failed"]["failure"]["message"] }),
            None => json!({ "completed": result["completed"]["result"] }),
        };
        assert_eq!(found, expected, "{id}: {result}");
    }
}

fn expected(n: u64) -> Value {
    let steps = |count: u64| (0..count).map(|k| 2 * (10 * n + k)).collect::<Vec<_>>();
    match n % 6 {
        0 => json!({ "completed": steps(5).iter().sum::<u64>() }),
        1 => json!({ "completed": steps(8) }),
        2 => json!({ "completed": 2 * (10 * n + 1) }),
        3 => json!({ "completed": steps(3) }),
        4 => json!({ "failed": format!("{} is refused", 10 * n + 3) }),
        _ => json!({ "completed": 20 * n }),
    }
}

/// Checks that each trip undid its legs, the last first.
pub(crate) fn trips_were_undone<'e>(executions: impl IntoIterator<Item = &'e Execution>) {
    for execution in executions {
        let inputs: Vec<i64> = execution
            .events()
            .filter(|(_, kind, _)| *kind == "activity_scheduled")
            .filter_map(|(_, _, fields)| fields["input"][0].as_i64())
            .collect();
        let number: i64 =
            execution.workflow_id.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
        if number % 6 == 4 {
            let digits: Vec<i64> = inputs.iter().map(|input| input - 10 * number).collect();
            assert_eq!(digits, [0, 1, 2, 3, 7, 8, 9], "{}", execution.workflow_id);
        }
    }
}
