//! Statements with the schema's name in its place. Written as constants with `{s}`, made once a store.
//!
//! Each text is kept, so that a connection prepares it once.

use crate::store::decide::Sections;
use sqlx::AssertSqlSafe;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The database's clock, in ms since the Unix epoch. It runs on within a statement: where an index is to be
/// searched by it, read it once, by `(SELECT {now})`.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Which run of which server this is: another after a restart, after a crash of its sessions alone (Postgres
/// 15 and later tell it by their statistics, which begin again then; before, to ask for those would wait for a
/// file), and on a standby that was promoted. A worker that has renewed a lease at the same server since has had
/// its connections all that time.
pub(super) const SERVER: &str =
    "concat((extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, '/',
    CASE WHEN current_setting('server_version_num')::integer >= 150000
        THEN (extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::bigint END)";

/// Before an answer is given because of what was read: a server that was to end while a commit waited for the
/// standby has committed, and shows what the standby may not have. This writes, so its own commit waits for
/// the standby, which then has all that came before it too (PROTOCOL 8).
pub(super) const SETTLE: &str = "SELECT pg_logical_emit_message(true, 'abide', '')";

/// The statements of one store.
pub(super) struct Sql {
    schema: String,
    texts: RwLock<HashMap<&'static str, Arc<str>>>,
    batches: RwLock<HashMap<Sections, Arc<str>>>,
}

impl Sql {
    /// For this schema, whose name was checked.
    pub(super) fn new(schema: &str) -> Self {
        Self { schema: schema.to_owned(), texts: RwLock::default(), batches: RwLock::default() }
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A constant's text. Safe to assert: the template is ours and the schema's name is made of letters,
    /// digits and `_`.
    pub(super) fn of(&self, template: &'static str) -> AssertSqlSafe<Arc<str>> {
        let known = self.texts.read().unwrap_or_else(PoisonError::into_inner).get(template).cloned();
        AssertSqlSafe(known.unwrap_or_else(|| {
            let text: Arc<str> = Arc::from(self.fill(template));
            let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(texts.entry(template).or_insert(text))
        }))
    }

    /// The batch with these sections, by the function that writes its text.
    pub(super) fn batch(&self, sections: Sections, text: fn(Sections) -> String) -> AssertSqlSafe<Arc<str>> {
        let known = self.batches.read().unwrap_or_else(PoisonError::into_inner).get(&sections).cloned();
        AssertSqlSafe(known.unwrap_or_else(|| {
            let text: Arc<str> = Arc::from(self.fill(&text(sections)));
            let mut batches = self.batches.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(batches.entry(sections).or_insert(text))
        }))
    }

    /// Fills in the schema's name, the clock and the server.
    pub(super) fn fill(&self, template: &str) -> String {
        let text = mutated(template).replace("{s}", &format!("\"{}\"", self.schema));
        text.replace("{now}", NOW).replace("{server}", SERVER)
    }
}

/// A section with its parameters numbered: `@1` is `$first`.
pub(super) fn numbered(section: &str, first: usize, parameters: usize) -> String {
    // From the last, so that `@1` does not eat the beginning of `@12`.
    (1..=parameters)
        .rev()
        .fold(section.to_owned(), |text, n| text.replace(&format!("@{n}"), &format!("${}", first + n - 1)))
}

/// A text as a mutant has it: as it is, but in a build that has them.
fn mutated(template: &str) -> String {
    let changes: &[(&str, &str)] = match () {
        () if mutant!(SkipFence) => &[(
            "SELECT worker FROM {s}.lease WHERE slot = $1 AND worker = ANY($2) FOR KEY SHARE",
            "SELECT unnest($2::bigint[]) AS worker WHERE $1 >= 0",
        )],
        () if mutant!(ClaimTwice) => &[(" FOR NO KEY UPDATE SKIP LOCKED", ""), (" AND e.owner IS NULL", "")],
        () if mutant!(MessageWithoutLock) => {
            &[("(status < 10 OR $2 = 2) FOR KEY SHARE", "(status < 10 OR $2 = 2)")]
        }
        () if mutant!(BearWithoutPolicy) => &[("h.close_policy, h.schedule", "0, h.schedule")],
        () if mutant!(ForgetReport) => &[("p.status < 10 AND p.id <> ALL", "p.status >= 10 AND p.id <> ALL")],
        () if mutant!(ResumeWithoutLock) => &[(
            "SELECT status, queue FROM {s}.execution WHERE id = $1 FOR UPDATE",
            "SELECT status, queue FROM {s}.execution WHERE id = $1 FOR NO KEY UPDATE",
        )],
        () => &[],
    };
    changes.iter().fold(template.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_filled_in() {
        let sql = Sql::new("jobs");
        assert_eq!(&*sql.of("SELECT {now} FROM {s}.lease").0, format!("SELECT {NOW} FROM \"jobs\".lease"));
    }
}
