//! Which tasks of a queue with limits or keys are next (PROTOCOL 78, 79). The store reads candidates and locks and
//! counts their limits; what may begin is decided here.

use crate::store::limit::QueueTurn;
use abide_core::{EventId, ExecutionId};
use std::collections::{BTreeMap, VecDeque};

/// How many keys of a priority a claim looks at on each side of its turn. The next claim goes on from there.
pub(crate) const GROUPS_AT_ONCE: usize = 100;

/// What a limit's row and a count say of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LimitRow {
    pub(crate) most: Option<i32>,
    /// How many begin a second.
    pub(crate) rate: Option<f64>,
    pub(crate) burst: f64,
    pub(crate) tokens: f64,
    /// When `tokens` was right.
    pub(crate) at_ms: i64,
    /// How many run.
    pub(crate) running: i64,
}

impl LimitRow {
    /// How many tokens there are now. A clock that was set back refills nothing, and the time that it repeats refills
    /// again; never more than the burst.
    pub(crate) fn refilled(&self, now_ms: i64) -> f64 {
        let passed_ms = now_ms.saturating_sub(self.at_ms).max(0) as f64;
        let more = self.rate.map_or(0.0, |rate| passed_ms / 1_000.0 * rate);
        (self.tokens + more).min(self.burst)
    }

    /// How many may begin now.
    fn room(&self, now_ms: i64) -> usize {
        let room = self.most.map_or(i64::MAX, |most| i64::from(most) - self.running).max(0);
        // A sum of many small shares may miss a whole token by a hair.
        let tokens = self.rate.map_or(f64::MAX, |_| self.refilled(now_ms) + 1e-6);
        usize::try_from(room).unwrap_or(usize::MAX).min(tokens as usize)
    }

    /// When the next token is there after so many are taken, if none is left.
    fn next_token_ms(&self, taken: usize, now_ms: i64) -> Option<i64> {
        let rate = self.rate?;
        let lacks = 1.0 - (self.refilled(now_ms) - taken as f64);
        (lacks > 0.0).then(|| now_ms.saturating_add((lacks / rate * 1_000.0).ceil() as i64))
    }
}

/// How many tasks of each limit may begin. A key that is not here has no limit.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    limits: BTreeMap<String, Option<LimitRow>>,
    left: BTreeMap<String, usize>,
    taken: BTreeMap<String, usize>,
}

impl Rooms {
    /// A limit whose row this transaction has locked.
    pub(crate) fn locked(&mut self, key: String, row: LimitRow, now_ms: i64) {
        self.left.insert(key.clone(), row.room(now_ms));
        self.limits.insert(key, Some(row));
    }

    #[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))] // SQLite has one writer
    /// A limit whose row another claim has locked: nothing of it begins now.
    pub(crate) fn held(&mut self, key: String) {
        self.left.insert(key.clone(), 0);
        self.limits.insert(key, None);
    }

    /// The limits that were locked, with their tokens now, before any is spent.
    pub(crate) fn tokens(&self, now_ms: i64) -> impl Iterator<Item = (&str, f64)> {
        let rows = self.limits.iter().filter_map(|(key, row)| Some((key, row.as_ref()?)));
        rows.map(move |(key, row)| (key.as_str(), row.refilled(now_ms)))
    }

    fn next_token_ms(&self, now_ms: i64) -> Option<i64> {
        let next = self.limits.iter().filter_map(|(key, row)| {
            let taken = self.taken.get(key).copied().unwrap_or(0);
            row.as_ref()?.next_token_ms(taken, now_ms)
        });
        next.min()
    }

    fn take(&mut self, key: &str) -> bool {
        match self.left.get_mut(key) {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                *self.taken.entry(key.to_owned()).or_default() += 1;
                true
            }
            None => true,
        }
    }
}

/// A key of a queue with what is due of it, or a due task of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) priority: i16,
    pub(crate) fair_key: String,
    pub(crate) limit_key: String,
    /// `None`: the key is there, but nothing of it is due for the claimant.
    pub(crate) task: Option<CandidateTask>,
}

impl Candidate {
    /// The limits of which something is due, each with an activity that it counts.
    pub(crate) fn limits(candidates: &[Self]) -> BTreeMap<String, String> {
        let limited = candidates.iter().filter(|candidate| !candidate.limit_key.is_empty());
        let named = limited.filter_map(|candidate| {
            let task = candidate.task.as_ref().filter(|task| task.is_due)?;
            Some((candidate.limit_key.clone(), task.name.clone()))
        });
        named.collect()
    }
}

/// See [`Candidate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CandidateTask {
    pub(crate) execution: ExecutionId,
    pub(crate) activity: EventId,
    /// The activity's registered name.
    pub(crate) name: String,
    pub(crate) run_at_ms: i64,
    pub(crate) weight: i32,
    /// False: it is the first one that is not due yet.
    pub(crate) is_due: bool,
}

/// What a claim takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Picked {
    /// Indexes of candidates.
    pub(crate) tasks: Vec<usize>,
    /// Whose turn it is then.
    pub(crate) turn: QueueTurn,
    /// When something may begin that may not now.
    pub(crate) next_due_ms: Option<i64>,
    /// See [`ClaimedTasks::soon`](crate::store::ClaimedTasks::soon).
    pub(crate) soon: bool,
}

type Pair<'a> = (&'a str, &'a str);

/// The due tasks of a key, the oldest first.
struct Group<'a> {
    pair: Pair<'a>,
    weight: u32,
    tasks: VecDeque<usize>,
}

/// Picks `limit` tasks at most: by priority; within one, the keys in turn after the last one that was served, of each
/// as many as its weight says.
pub(crate) fn pick(
    candidates: &[Candidate],
    rooms: &mut Rooms,
    limit: usize,
    turn: &QueueTurn,
    now_ms: i64,
) -> Picked {
    let mut picked = Picked { turn: turn.clone(), ..Picked::default() };
    let mut by_priority: BTreeMap<i16, Vec<Group<'_>>> = BTreeMap::new();
    let mut at_bound = None;
    for (priority, groups) in groups(candidates) {
        let ring = ring(groups, turn);
        let ahead = ring.iter().filter(|group| is_ahead(group.pair, turn)).count();
        if ahead >= GROUPS_AT_ONCE && at_bound.is_none() {
            at_bound = ring.iter().rfind(|group| is_ahead(group.pair, turn)).map(|group| group.pair);
        }
        by_priority.insert(priority, ring);
    }
    for ring in by_priority.values_mut() {
        serve(ring, rooms, limit, &mut picked);
    }
    let full = picked.tasks.len() >= limit;
    if let (Some((fair, key)), false) = (at_bound, full) {
        picked.soon = true;
        if picked.tasks.is_empty() {
            picked.turn = QueueTurn { fair_key: fair.to_owned(), limit_key: key.to_owned(), left: 0 };
        }
    }
    let later = candidates.iter().filter_map(|candidate| candidate.task.as_ref()).filter(|task| !task.is_due);
    picked.next_due_ms = later.map(|task| task.run_at_ms).chain(rooms.next_token_ms(now_ms)).min();
    picked.soon |= !full && rooms.limits.values().any(Option::is_none);
    picked
}

/// Whether a key comes after the last one that was served, and not from the beginning again.
fn is_ahead(pair: Pair<'_>, turn: &QueueTurn) -> bool {
    pair > (turn.fair_key.as_str(), turn.limit_key.as_str())
}

fn groups(candidates: &[Candidate]) -> BTreeMap<i16, BTreeMap<Pair<'_>, Group<'_>>> {
    let mut groups: BTreeMap<i16, BTreeMap<Pair<'_>, Group<'_>>> = BTreeMap::new();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|index| candidates[*index].task.as_ref().map(|task| task.run_at_ms));
    for index in order {
        let candidate = &candidates[index];
        let pair = (candidate.fair_key.as_str(), candidate.limit_key.as_str());
        let keys = groups.entry(candidate.priority).or_default();
        let group = keys.entry(pair).or_insert_with(|| Group { pair, weight: 0, tasks: VecDeque::new() });
        let Some(task) = candidate.task.as_ref().filter(|task| task.is_due) else { continue };
        if group.weight == 0 {
            group.weight = u32::try_from(task.weight).unwrap_or(1).max(1);
        }
        group.tasks.push_back(index);
    }
    groups
}

/// The keys after the last one that was served come first; that one itself, if its turn is not over.
fn ring<'a>(groups: BTreeMap<Pair<'a>, Group<'a>>, turn: &QueueTurn) -> Vec<Group<'a>> {
    let (ahead, mut ring): (Vec<_>, Vec<_>) =
        groups.into_values().partition(|group| is_ahead(group.pair, turn));
    let last = (turn.fair_key.as_str(), turn.limit_key.as_str());
    let goes_on = ring.pop_if(|group| turn.left > 0 && group.pair == last);
    goes_on.into_iter().chain(ahead).chain(ring).collect()
}

fn serve(ring: &mut [Group<'_>], rooms: &mut Rooms, limit: usize, picked: &mut Picked) {
    let first = picked.turn.clone();
    let mut goes_on = first.left > 0;
    loop {
        let before = picked.tasks.len();
        for group in ring.iter_mut() {
            let (fair_key, limit_key) = group.pair;
            let is_first =
                std::mem::take(&mut goes_on) && group.pair == (&*first.fair_key, &*first.limit_key);
            let mut left = if is_first { first.left } else { group.weight };
            while left > 0 && picked.tasks.len() < limit {
                let Some(index) = group.tasks.front().copied().filter(|_| rooms.take(limit_key)) else {
                    break;
                };
                group.tasks.pop_front();
                picked.tasks.push(index);
                left -= 1;
                picked.turn =
                    QueueTurn { fair_key: fair_key.to_owned(), limit_key: limit_key.to_owned(), left };
            }
            if picked.tasks.len() >= limit {
                return;
            }
        }
        if picked.tasks.len() == before {
            picked.turn.left = 0;
            return;
        }
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
