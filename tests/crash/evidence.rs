//! What the ledger, the database and the acknowledgements say together: the invariants that no crash may break.

use crate::journal::{Execution, read};
use crate::ledger::lines;
use crate::scene::Scene;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What was known at the last look.
#[derive(Default)]
pub(crate) struct Evidence {
    /// Activities whose end was committed.
    ended: HashSet<String>,
    /// How many lines the ledger had.
    seen: usize,
}

/// One line of the ledger.
enum Line {
    Start { name: String, key: String, attempt: String, n: u64 },
    Done { key: String },
}

/// An activity as its ledger tells it.
#[derive(Default)]
pub(crate) struct Ran {
    pub(crate) name: String,
    pub(crate) n: u64,
    /// The attempts that began, in order.
    pub(crate) attempts: Vec<String>,
    pub(crate) finished: usize,
}

impl Evidence {
    /// Looks at everything, while the processes run or not: what was acknowledged is in the database a little
    /// later, and what is in the database was in the ledger before.
    pub(crate) async fn check(&mut self, scene: &Scene) -> BTreeMap<i64, Execution> {
        let acks: Vec<String> =
            ["acks-in", "acks-out"].iter().flat_map(|name| lines(&scene.path(name))).collect();
        let executions = read(scene.database()).await;
        let lines = lines(&scene.ledger());
        let ran = ran(&lines);
        self.nothing_ended_ran_again(&lines);
        for (key, ran) in &ran {
            let unique: HashSet<&String> = ran.attempts.iter().collect();
            assert_eq!(unique.len(), ran.attempts.len(), "{key}: an attempt began twice: {:?}", ran.attempts);
        }
        for execution in executions.values() {
            joins_up(execution);
            self.activities(execution, &ran);
        }
        acknowledged(&acks, &executions);
        self.seen = lines.len();
        executions
    }

    /// No line after the last look is of an activity whose end was in the journal then.
    fn nothing_ended_ran_again(&self, lines: &[String]) {
        for line in &lines[self.seen..] {
            if let Some(Line::Start { key, name, attempt, .. }) = parse(line) {
                assert!(!self.ended.contains(&key), "{name} {key} ended and ran again as attempt {attempt}");
            }
        }
    }

    /// An end is recorded once, after its start, and never without a run that finished.
    fn activities(&mut self, execution: &Execution, ran: &HashMap<String, Ran>) {
        let id = &execution.workflow_id;
        let mut open = HashSet::new();
        for (number, kind, fields) in execution.events() {
            let of = fields["activity"].as_i64();
            match kind {
                "activity_scheduled" => assert!(open.insert(number), "{id}: {number} is scheduled twice"),
                "activity_completed" => {
                    let activity = of.expect("it names its activity");
                    assert!(open.remove(&activity), "{id}: {activity} ended twice, or never began");
                    let key = execution.key(activity);
                    let finished = ran.get(&key).map_or(0, |ran| ran.finished);
                    assert!(finished > 0, "{id}: {key} is recorded as completed and never finished a run");
                    self.ended.insert(key);
                }
                "activity_failed" => {
                    let activity = of.expect("it names its activity");
                    assert!(open.remove(&activity), "{id}: {activity} ended twice, or never began");
                    self.ended.insert(execution.key(activity));
                }
                "activity_cancel_requested" => drop(open.remove(&of.expect("it names its activity"))),
                _ => {}
            }
        }
    }
}

/// The journal has no gap and no duplicate, begins with its start and ends with its close.
fn joins_up(execution: &Execution) {
    let id = &execution.workflow_id;
    let mut next = 1;
    for row in &execution.rows {
        assert_eq!(row.seq, next, "{id}: a gap or a duplicate");
        assert_eq!(row.n, i64::try_from(row.events.len()).expect("few"), "{id}: a row's count is wrong");
        next += row.n;
    }
    let closing = ["completed", "failed", "canceled", "continued_as_new", "terminated", "timed_out"];
    let count = execution.events().count();
    for (at, (_, kind, _)) in (1..).zip(execution.events()) {
        assert_eq!(kind == "started", at == 1, "{id}: `{kind}` is event {at}");
        let closes = at == count && !execution.is_open();
        assert_eq!(closing.contains(&kind), closes, "{id}: `{kind}` is event {at} of {count}");
    }
    assert!(execution.is_open() || count > 0, "{id}: closed without a history");
    let id_of = |(_, _, fields): (i64, &str, &'_ serde_json::Value)| {
        fields["request_id"].as_str().or(fields["update_id"].as_str()).map(str::to_owned)
    };
    let mut requests: Vec<String> = execution.events().filter_map(id_of).collect();
    requests.sort_unstable();
    let all = requests.len();
    requests.dedup();
    assert_eq!(requests.len(), all, "{id}: a message was taken in twice");
}

/// What was acknowledged is there: once.
fn acknowledged(acks: &[String], executions: &BTreeMap<i64, Execution>) {
    let mut by_id: HashMap<&str, Vec<&Execution>> = HashMap::new();
    for execution in executions.values() {
        by_id.entry(&execution.workflow_id).or_default().push(execution);
    }
    for (id, runs) in &by_id {
        assert!(runs.iter().filter_map(|run| run.next).all(|next| executions.contains_key(&next)), "{id}");
        let last = runs.iter().filter(|run| run.next.is_none()).count();
        assert_eq!(last, 1, "{id} was started once, and goes on as one run");
    }
    for ack in acks {
        match ack.split(' ').collect::<Vec<_>>()[..] {
            ["start", id] => {
                assert!(by_id.contains_key(id), "the start of {id} was acknowledged and is lost")
            }
            ["letter", id, request] => {
                let is_there = |execution: &&Execution| {
                    let taken = execution.events().any(|(_, _, fields)| fields["request_id"] == request);
                    taken || execution.inbox.iter().any(|waits| waits == request)
                };
                assert!(by_id[id].iter().any(is_there), "{request} was acknowledged and is lost");
            }
            _ => panic!("a sender was told: {ack}"),
        }
    }
}

/// What ran, by key.
pub(crate) fn ran(lines: &[String]) -> HashMap<String, Ran> {
    let mut all: HashMap<String, Ran> = HashMap::new();
    for line in lines {
        match parse(line) {
            Some(Line::Start { name, key, attempt, n }) => {
                let ran = all.entry(key).or_default();
                (ran.name, ran.n) = (name, n);
                ran.attempts.push(attempt);
            }
            Some(Line::Done { key }) => all.entry(key).or_default().finished += 1,
            None => panic!("no line of a ledger: {line}"),
        }
    }
    all
}

fn parse(line: &str) -> Option<Line> {
    let own = |text: &str| text.to_owned();
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["start", name, key, attempt, n] => {
            Some(Line::Start { name: own(name), key: own(key), attempt: own(attempt), n: n.parse().ok()? })
        }
        ["done", key, _] => Some(Line::Done { key: own(key) }),
        _ => None,
    }
}

#[test]
fn a_torn_line_never_counted_and_the_next_one_begins_afresh() {
    let scene = Scene::new();
    let add = |line: &str| crate::ledger::Ledger::open(&scene.ledger()).expect("it opens").add(line);
    add("start a r/1 1 5");
    let torn = b"start a r/2 1";
    let mut file = std::fs::File::options().append(true).open(scene.ledger()).expect("it opens");
    std::io::Write::write_all(&mut file, torn).expect("it is written");
    add("done r/1 1");
    assert_eq!(lines(&scene.ledger()), ["start a r/1 1 5", "done r/1 1"]);
}
