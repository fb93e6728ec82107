//! "Did you mean": the nearest of a few names.

/// The candidate that the user may have meant, if one is near enough.
pub(crate) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let limit = match name.chars().count() {
        0..=2 => 0,
        3..=5 => 2,
        _ => 3,
    };
    candidates
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// abide's words for the options of other engines, and for our options in another attribute.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("#[activity]", "start_to_close_timeout", "`start_to_close`"),
    ("#[activity]", "schedule_to_close_timeout", "`schedule_to_close`"),
    ("#[activity]", "schedule_to_start_timeout", "`schedule_to_start`"),
    ("#[activity]", "timeout", "`start_to_close`, the limit of one attempt"),
    ("#[activity]", "heartbeat", "`heartbeat_timeout`"),
    ("#[activity]", "later", "`complete_later`"),
    ("#[activity]", "async_completion", "`complete_later`"),
    ("#[activity]", "retry_policy", "`retry(..)`"),
    ("#[activity]", "retries", "`retry(max_attempts = 3)`"),
    ("#[activity]", "max_attempts", "`retry(max_attempts = 3)`"),
    ("#[activity]", "maximum_attempts", "`retry(max_attempts = 3)`"),
    ("#[activity]", "non_retryable", NON_RETRYABLE),
    ("#[activity]", "non_retryable_errors", NON_RETRYABLE),
    ("#[activity]", "non_retryable_error_types", NON_RETRYABLE),
    ("#[activity]", "cancellation_type", "`cancellation`"),
    ("#[activity]", "queue", "`task_queue`"),
    ("#[activity]", "concurrency", "`most`, how many run at once in all workers"),
    ("#[activity]", "concurrency_limit", "`most`, how many run at once in all workers"),
    ("#[activity]", "max_concurrent", "`most`, how many run at once in all workers"),
    ("#[activity]", "rate_limit", "`rate`"),
    ("#[activity]", "throttle", "`rate`"),
    ("retry(..)", "maximum_attempts", "`max_attempts`"),
    ("retry(..)", "maximum_interval", "`max_interval`"),
    ("retry(..)", "initial", "`initial_interval`"),
    ("retry(..)", "backoff", "`backoff_coefficient`"),
    ("retry(..)", "coefficient", "`backoff_coefficient`"),
    ("retry(..)", "attempts", "`max_attempts`"),
    ("retry(..)", "non_retryable", NON_RETRYABLE),
    ("retry(..)", "non_retryable_errors", NON_RETRYABLE),
    ("retry(..)", "non_retryable_error_types", NON_RETRYABLE),
    ("#[update]", "validator", "`validate`"),
    ("#[update]", "update_validator", "`validate`"),
    ("#[workflow]", "queue", "`task_queue`"),
    ("#[workflow]", "retry_policy", "`retry(..)`"),
    ("#[workflow]", "retries", "`retry(max_attempts = 3)`"),
    ("#[workflow]", "max_attempts", "`retry(max_attempts = 3)`"),
    ("#[workflow]", "maximum_attempts", "`retry(max_attempts = 3)`"),
    ("#[workflow]", "non_retryable", FINAL),
    ("#[workflow]", "non_retryable_error_types", FINAL),
    ("#[workflow]", "timeout", "`run_timeout`, the limit of one run"),
    ("#[workflow]", "workflow_timeout", "`execution_timeout`, the limit of all runs together"),
    ("#[workflow]", "workflow_run_timeout", "`run_timeout`"),
    ("#[workflow]", "workflow_execution_timeout", "`execution_timeout`"),
    (
        "#[workflow]",
        "task_timeout",
        "`run_timeout`, the limit of one run; a blocked thread is noticed without one",
    ),
    (
        "#[workflow]",
        "workflow_task_timeout",
        "`run_timeout`, the limit of one run; a blocked thread is noticed \
     without one",
    ),
];

const NON_RETRYABLE: &str = "`retry_if`, an argument of the activity that asks the error: \
                             `#[activity(retry_if = PaymentError::is_temporary)]`";

const FINAL: &str = "`retry_if`, which asks the error: `#[workflow(retry_if = OrderFailed::is_temporary)]`";

/// abide's word for this argument of another engine.
pub(crate) fn elsewhere(attribute: &str, name: &str) -> Option<&'static str> {
    let found = ELSEWHERE.iter().find(|(of, theirs, _)| *of == attribute && *theirs == name);
    found.map(|(_, _, ours)| *ours)
}

/// The Levenshtein distance: insertions, deletions and replacements.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `a`, `b` or `c`, each in backticks.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::from("none"),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_and_far() {
        assert_eq!(nearest("querry", &["run", "signal", "query"]), Some("query"));
        assert_eq!(nearest("signl", &["run", "signal", "query"]), Some("signal"));
        assert_eq!(nearest("start_to_clsoe", &["start_to_close", "retry"]), Some("start_to_close"));
        assert_eq!(nearest("inline", &["run", "signal", "query"]), None);
        assert_eq!(nearest("", &["run"]), None);
    }
}
