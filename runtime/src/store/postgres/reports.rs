//! The ends of chains from outside, as the schedules that have started them are told (PROTOCOL 71). Those by an append
//! are a section of its batch: see `children`.

/// The report of a run that was ended from outside: `$1` the run, `$2` now.
pub(super) const REPORT_ENDED: &str = "
INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
SELECT s.number, 7, 'run/' || coalesce(e.chain, e.id), json_build_object('workflow_id', e.workflow_id,
    'slot_ms', e.slot, 'status', e.status, 'message', NULL), $2
FROM {s}.execution e JOIN {s}.schedule s ON s.number = e.schedule
WHERE e.id = $1 AND e.next IS NULL
ON CONFLICT DO NOTHING";

/// Reports that no schedule takes in any more: it was deleted while its run closed.
pub(super) const SWEEP: &str = "DELETE FROM {s}.inbox i WHERE i.execution < 0
    AND NOT EXISTS (SELECT FROM {s}.schedule s WHERE s.number = i.execution)";
