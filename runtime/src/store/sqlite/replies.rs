//! Answers that go with a turn (PROTOCOL 46): the section of a batch that keeps them.

use super::tokens::sender_is_in;

/// The batch's section. `$16`: the key, where in the blob the answer is, its stage, when it expires, the
/// sender, now. An answer takes the place of one of an earlier stage only. Some that have expired go too.
pub(super) const CHANGES: [&str; 2] = [
    "
DELETE FROM reply WHERE request_id IN (
    SELECT o.request_id FROM reply o
    WHERE o.expires_at < (SELECT min(x.value->>6) FROM json_each($16) x) ORDER BY o.expires_at LIMIT 100)",
    concat!(
        "
WITH k AS MATERIALIZED (SELECT value AS v FROM json_each($16))
INSERT INTO reply (request_id, body, stage, expires_at)
SELECT v->>0, CAST(substr($2, v->>1, v->>2) AS TEXT), v->>3, v->>4 FROM k WHERE ",
        sender_is_in!("v->>5"),
        "
ON CONFLICT (request_id) DO UPDATE SET body = excluded.body, expires_at = excluded.expires_at,
    stage = excluded.stage WHERE reply.stage < excluded.stage"
    ),
];
