//! Lists by random filters, over executions with random names: the same rows in the same order as a plain
//! model of a few lines gives, and each of them once, whatever the length of a page.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestCaseResult, TestRunner};
use std::hash::{BuildHasher, RandomState};

/// What names are made of: wildcards of `LIKE`, quotes, escapes, letters that are several characters or several bytes.
const PIECES: &[&str] = &[
    "a",
    "A",
    "b",
    "ab",
    "%",
    "_",
    "\\",
    "'",
    "\"",
    "''",
    "*",
    "?",
    "[a]",
    "ä",
    "a\u{308}",
    "ß",
    "İ",
    "é",
    "😀",
    "\u{10ffff}",
    "\u{200d}",
    " ",
    "\n",
    "\u{1}",
    "\u{7f}",
    "-",
    ";--",
    "$1",
    ":x",
    "{s}",
    "\0",
];

fn text() -> impl Strategy<Value = String> {
    vec(select(PIECES), 1..5).prop_map(|pieces| pieces.concat())
}

/// Few types and queues, so that filters meet some.
const NAMES: &[&str] = &["Order", "order", "%", "'", "ä", "Order\u{1}"];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![9 => select(NAMES).prop_map(str::to_owned), 1 => text()]
}

const STATUSES: &[ExecutionStatus] = &[
    ExecutionStatus::Running,
    ExecutionStatus::Suspended,
    ExecutionStatus::Completed,
    ExecutionStatus::Failed,
    ExecutionStatus::Cancelled,
    ExecutionStatus::Terminated,
];

/// One execution, as far as a list looks at it.
#[derive(Clone, Debug)]
struct Listed {
    workflow_id: String,
    workflow_type: String,
    queue: String,
    status: ExecutionStatus,
    /// Made by its start.
    run_id: String,
}

fn listed() -> impl Strategy<Value = Listed> {
    (text(), name(), name(), select(STATUSES)).prop_map(|(workflow_id, workflow_type, queue, status)| {
        Listed { workflow_id, workflow_type, queue, status, run_id: String::new() }
    })
}

/// A filter, and what it names of the executions that there are.
#[derive(Clone, Debug)]
struct Asked {
    filter: Filter,
    /// The first so many characters of this one's id as the prefix.
    prefix_of: Option<(Index, usize)>,
    /// After this one, or beside it.
    after: Option<(Index, i128)>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let statuses = vec(select(STATUSES), 0..4);
    let maybe = || proptest::option::weighted(0.3, name());
    let prefix = proptest::option::weighted(0.2, text());
    let limit = prop_oneof![3 => 1_u32..6, 1 => Just(0), 1 => select(vec![100, 999, 1_000, 1_001, u32::MAX])];
    let anywhere = prop_oneof![4 => -1_i128..2, 1 => any::<i128>()];
    (
        (statuses, maybe(), maybe(), prefix, limit),
        proptest::option::weighted(0.4, (any::<Index>(), 0_usize..6)),
        proptest::option::weighted(0.3, (any::<Index>(), anywhere)),
    )
        .prop_map(|((statuses, workflow_type, queue, id_prefix, limit), prefix_of, after)| Asked {
            filter: Filter { statuses, workflow_type, queue, id_prefix, limit, after: None },
            prefix_of,
            after,
        })
}

impl Asked {
    fn of(self, all: &[(ExecutionId, Listed)]) -> Filter {
        let mut filter = self.filter;
        if let Some((which, chars)) = self.prefix_of {
            filter.id_prefix = Some(all[which.index(all.len())].1.workflow_id.chars().take(chars).collect());
        }
        filter.after = self.after.map(|(which, by)| {
            let run_id: uuid::Uuid = all[which.index(all.len())].1.run_id.parse().expect("a UUID");
            uuid::Uuid::from_u128(run_id.as_u128().wrapping_add_signed(by)).to_string()
        });
        filter
    }
}

/// The ids that this filter gives, all pages together, newest first.
fn model(all: &[(ExecutionId, Listed)], filter: &Filter) -> Vec<ExecutionId> {
    let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    let fits = |(_, one): &&(ExecutionId, Listed)| {
        (filter.statuses.is_empty() || filter.statuses.contains(&one.status))
            && is(&filter.workflow_type, &one.workflow_type)
            && is(&filter.queue, &one.queue)
            && filter.id_prefix.as_deref().is_none_or(|prefix| one.workflow_id.starts_with(prefix))
            && filter.after.as_ref().is_none_or(|after| one.run_id < *after)
    };
    let mut fitting: Vec<_> = all.iter().filter(fits).collect();
    fitting.sort_by_key(|(_, one)| std::cmp::Reverse(&one.run_id));
    fitting.into_iter().map(|(id, _)| *id).collect()
}

/// Starts them and brings each to its status, by two processes in turn: their ids are of two blocks.
async fn filled(lab: &Lab, wanted: Vec<Listed>) -> (Process, Vec<(ExecutionId, Listed)>) {
    let (a, b) = (lab.process().await, lab.process().await);
    let mut all: Vec<(ExecutionId, Listed)> = Vec::new();
    for (at, mut one) in wanted.into_iter().enumerate() {
        // Of one name one run is open at most.
        if all.iter().any(|(_, other)| other.workflow_id == one.workflow_id && other.status.is_open()) {
            continue;
        }
        let process = if at % 2 == 0 { &a } else { &b };
        let new = NewExecution {
            workflow_type: one.workflow_type.clone(),
            queue: one.queue.clone(),
            ..process.new_execution(&one.workflow_id)
        };
        let id = new.id;
        one.run_id.clone_from(&new.run_id);
        match process.append(process.create(new)).await {
            Ok(AppendOutcome::Done) => {}
            // A store may refuse a NUL, and then has none to list.
            Ok(AppendOutcome::BadRow(_)) if format!("{one:?}").contains("\\0") => continue,
            other => panic!("{one:?}: {other:?}"),
        }
        let row = match one.status {
            ExecutionStatus::Running => None,
            ExecutionStatus::Suspended => Some(RowChange {
                status: Some(ExecutionStatus::Suspended),
                suspension: Some(Suspension {
                    code: "AB0202".to_owned(),
                    message: one.queue.clone(),
                    site: None,
                    build: "b1".to_owned(),
                    other_builds: false,
                    at_ms: 1,
                }),
                ..RowChange::default()
            }),
            _ => None,
        };
        let close = Some(one.status).filter(|status| !status.is_open()).map(closed);
        if row.is_some() || close.is_some() {
            let turn = Append { row, close, ..process.turn(id, 2, 1) };
            assert!(matches!(process.append(turn).await, Ok(AppendOutcome::Done)), "{one:?}");
        }
        all.push((id, one));
    }
    b.die().await;
    (a, all)
}

async fn check(process: &Process, all: &[(ExecutionId, Listed)], filter: Filter) -> TestCaseResult {
    let expected = model(all, &filter);
    let most = if filter.limit == 0 { 100 } else { filter.limit.min(1_000) } as usize;
    let mut seen = Vec::new();
    let mut page_of = filter.clone();
    loop {
        let page = process.store.list(page_of.clone()).await;
        let page = page.map_err(|error| TestCaseError::fail(format!("{filter:?}: {error}")))?;
        let left = expected.len() - seen.len();
        prop_assert_eq!(page.rows.len(), most.min(left), "{:?} after {} rows", filter, seen.len());
        for row in &page.rows {
            let (_, one) = all.iter().find(|(id, _)| *id == row.id).expect("a known row");
            prop_assert_eq!(&row.workflow_id, &one.workflow_id);
            prop_assert_eq!((&row.workflow_type, &row.queue), (&one.workflow_type, &one.queue));
            prop_assert_eq!(row.status, one.status);
        }
        seen.extend(page.rows.iter().map(|row| row.id));
        // There is a next page exactly where there is something on it.
        prop_assert_eq!(page.next.is_some(), seen.len() < expected.len(), "{:?}", filter);
        let Some(next) = page.next else { break };
        prop_assert_eq!(Some(&next), page.rows.last().map(|row| &row.run_id));
        page_of.after = Some(next);
    }
    prop_assert_eq!(seen, expected, "{:?}", filter);
    Ok(())
}

/// `count` cases, or as many as `PROPTEST_CASES` says. The seed is in the output of a test that fails.
fn runner(count: u32) -> TestRunner {
    let given = ProptestConfig::default();
    let seed = match given.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(()),
    };
    println!("the same cases again: PROPTEST_RNG_SEED={seed}");
    TestRunner::new(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(count, |_| given.cases),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..given
    })
}

pub(super) async fn any_filter_gives_what_a_plain_model_gives(lab: Lab) {
    let mut runner = runner(400);
    let wanted = vec(listed(), 60).new_tree(&mut runner).expect("executions").current();
    let (process, all) = filled(&lab, wanted).await;
    let run = runner.run(&asked(), |asked| {
        let case = check(&process, &all, asked.of(&all));
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(case))
    });
    if let Err(error) = run {
        panic!("{error}\nof {all:#?}");
    }
}

pub(super) async fn a_text_with_a_nul_matches_what_has_it(lab: Lab) {
    let process = lab.process().await;
    for name in ["a", "ab", "a\u{1}"] {
        process.running(name).await;
    }
    for text in ["\0", "a\0", "a\0b", "\0a", "Order\0", "q\0"] {
        let text = || Some(text.to_owned());
        for filter in [
            Filter { id_prefix: text(), ..Filter::default() },
            Filter { workflow_type: text(), ..Filter::default() },
            Filter { queue: text(), statuses: STATUSES.to_vec(), ..Filter::default() },
        ] {
            let page = process.store.list(filter.clone()).await;
            assert_eq!(page.map(|page| page.rows.len()).map_err(|e| e.to_string()), Ok(0), "{filter:?}");
        }
        let found = process.store.find(Find::WorkflowId(text().unwrap_or_default())).await;
        assert_eq!(found.map(|row| row.map(|row| row.id)).map_err(|error| error.to_string()), Ok(None));
    }
    // Whether a store keeps such a name or refuses it: what is kept is found.
    let told = process.append(process.create(process.new_execution("x\0y"))).await;
    let kept = matches!(told, Ok(AppendOutcome::Done));
    assert!(kept || matches!(told, Ok(AppendOutcome::BadRow(_))), "{told:?}");
    for (prefix, found) in [("x\0", kept), ("x\0y", kept), ("x\0z", false), ("x\0y\0", false)] {
        let filter = Filter { id_prefix: Some(prefix.to_owned()), ..Filter::default() };
        assert_eq!(process.store.list(filter).await.unwrap().rows.len(), usize::from(found), "{prefix:?}");
    }
}
