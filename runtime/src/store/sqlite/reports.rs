//! The ends of chains, as the schedules that have started them are told (PROTOCOL 71).

/// The report of a chain's end, as the body of its row.
macro_rules! report_body {
    ($message:literal) => {
        concat!(
            "json_object('workflow_id', e.workflow_id, 'slot_ms', e.slot, 'status', e.status, 'message', ",
            $message,
            ")"
        )
    };
}

/// Schedules are told of the ends of the chains that they have started. It comes after the changes of rows.
pub(super) const INSERT_REPORTS: &str = concat!(
    "
INSERT INTO inbox (execution, kind, request_id, body, at, parked)
SELECT s.number, 7, 'run/' || coalesce(e.chain, e.id), ",
    report_body!("json(r.value->1)"),
    ", r.value->>2, 0
FROM json_each($18) r CROSS JOIN execution e ON e.id = r.value->>0
CROSS JOIN schedule s ON s.number = e.schedule
WHERE e.next IS NULL
ON CONFLICT DO NOTHING"
);

/// The same of a run that was ended from outside: `$1` the run, `$2` now.
pub(super) const REPORT_ENDED: &str = concat!(
    "
INSERT INTO inbox (execution, kind, request_id, body, at)
SELECT s.number, 7, 'run/' || coalesce(e.chain, e.id), ",
    report_body!("NULL"),
    ", $2
FROM execution e CROSS JOIN schedule s ON s.number = e.schedule
WHERE e.id = $1 AND e.next IS NULL
ON CONFLICT DO NOTHING"
);

/// Reports that no schedule takes in any more: it was deleted while its run closed.
pub(super) const SWEEP: &str = "DELETE FROM inbox WHERE execution < 0
    AND NOT EXISTS (SELECT 1 FROM schedule s WHERE s.number = inbox.execution)";
