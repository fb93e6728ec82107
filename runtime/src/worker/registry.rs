//! What a worker can run: its workflow types and activities, by name.

use crate::activity::entry::ActivityEntry;
use crate::error::{Error, Result};
use crate::store::WorkerLimit;
use abide_core::exec::WorkflowType;
use abide_core::{Activities, ActivityDef, ActivityRegistry, Database, WorkflowDef};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// See the module documentation. A name that is registered twice is reported when the worker starts.
#[derive(Default)]
pub(super) struct Registry {
    workflows: HashMap<&'static str, WorkflowType>,
    activities: HashMap<&'static str, Arc<ActivityEntry>>,
    /// The limits of their task queues.
    limits: BTreeMap<&'static str, WorkerLimit>,
    twice: Option<(&'static str, &'static str)>,
    /// The activities that a test mocks. Real activities with these names are not registered.
    mocks: std::collections::HashSet<&'static str>,
}

impl Registry {
    pub(super) fn workflow<W: WorkflowDef>(&mut self) {
        match self.workflows.entry(W::NAME) {
            Entry::Vacant(entry) => drop(entry.insert(WorkflowType::of::<W>())),
            Entry::Occupied(_) => self.twice = Some(("workflow", W::NAME)),
        }
    }

    pub(super) fn activity<D: ActivityDef>(&mut self, host: Arc<D::Host>) {
        self.limits_of::<D>();
        if self.mocks.contains(D::NAME) {
            return;
        }
        match self.activities.entry(D::NAME) {
            Entry::Vacant(entry) => drop(entry.insert(Arc::new(ActivityEntry::new::<D>(host)))),
            Entry::Occupied(_) => self.twice = Some(("activity", D::NAME)),
        }
    }

    /// Notes the limits of an activity that is registered or mocked.
    pub(super) fn limits_of<D: ActivityDef>(&mut self) {
        self.limits.insert(D::NAME, WorkerLimit::of(D::NAME, D::options().queue_options()));
    }

    /// The limits of its activities, in the order of their names.
    pub(super) fn limits(&self) -> Vec<WorkerLimit> {
        self.limits.values().cloned().collect()
    }

    pub(super) fn activities<H: Activities>(&mut self, host: H) {
        H::register(&mut Host { registry: self, host: Arc::new(host) });
    }

    /// Replaces the activity of this name, registered or not, with a mock.
    #[cfg(feature = "testing")]
    pub(super) fn mock(&mut self, mock: ActivityEntry) {
        let name = mock.name();
        self.activities.insert(name, Arc::new(mock));
        if !self.mocks.insert(name) {
            self.twice = Some(("mock", name));
        }
    }

    /// Lets the test's process count all attempts, and run the bodies that are not mocked.
    pub(super) fn run_through(&mut self, test: &Arc<dyn crate::host::TestHost>) {
        for (name, entry) in &mut self.activities {
            *entry = Arc::new(entry.through(test, self.mocks.contains(name)));
        }
    }

    /// Refuses an empty registry, a name that is registered twice, and an activity that needs another
    /// database.
    pub(super) fn check(&self, queue: &str, database: Database) -> Result<()> {
        crate::client::check_id("task queue", queue)?;
        let other = |entry: &&Arc<ActivityEntry>| entry.database().is_some_and(|needs| needs != database);
        if let Some(entry) = self.activities.values().find(other) {
            return Err(Error::WrongDatabase {
                activity: entry.name().to_owned(),
                found: database.to_string(),
            });
        }
        if let Some((kind, name)) = self.twice {
            return Err(Error::RegisteredTwice { kind, name: name.to_owned() });
        }
        match self.workflows.is_empty() && self.activities.is_empty() {
            true => Err(Error::NothingRegistered { task_queue: queue.to_owned() }),
            false => Ok(()),
        }
    }

    pub(super) fn workflow_type(&self, name: &str) -> Option<&WorkflowType> {
        self.workflows.get(name)
    }

    pub(super) fn workflow_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.workflows.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    pub(super) fn activity_names(&self) -> Vec<String> {
        let elsewhere = self.activities.values().filter(|entry| entry.database().is_none());
        let mut names: Vec<String> = elsewhere.map(|entry| entry.name().to_owned()).collect();
        names.sort();
        names
    }

    pub(super) fn activity_entry(&self, name: &str) -> Option<&Arc<ActivityEntry>> {
        self.activities.get(name)
    }
}

struct Host<'a, H> {
    registry: &'a mut Registry,
    host: Arc<H>,
}

impl<H: Activities> ActivityRegistry<H> for Host<'_, H> {
    fn add<D: ActivityDef<Host = H>>(&mut self) {
        self.registry.activity::<D>(Arc::clone(&self.host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::Sel;

    /// A transactional activity, as on Postgres.
    struct Debit;

    impl ActivityDef for Debit {
        const NAME: &'static str = "debit";
        const DATABASE: Option<Database> = Some(Database::Postgres);
        type Host = ();
        type Args = ();
        type Returned = ();
        type Outcome = Sel<(), false>;

        async fn call((): &(), (): ()) {}
    }

    #[test]
    fn an_activity_of_another_database_is_refused_and_never_offered() {
        let mut registry = Registry::default();
        registry.activity::<Debit>(Arc::new(()));
        assert!(registry.check("q", Database::Postgres).is_ok());
        let refused = registry.check("q", Database::Sqlite).unwrap_err();
        assert_eq!(refused.code(), "AB0611");
        assert!(refused.to_string().contains("`debit`"), "{refused}");
        assert!(registry.activity_names().is_empty(), "no other worker's execution may send it here");
    }
}
