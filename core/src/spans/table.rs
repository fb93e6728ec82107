//! The spans of workflow code. They have ids of our own, because a span that a replay created exists in no
//! subscriber yet.
//!
//! If live code creates a span, it is *made* in the application's subscriber at once. Otherwise it is made
//! when live code first enters it or a span under it. Its parents are made first. All calls about a made span
//! run with its subscriber as the thread's dispatcher, because a registry closes spans through that
//! dispatcher.

use super::fields::Fields;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use tracing::Metadata;
use tracing::dispatcher::{self, Dispatch};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;

/// The parent of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// No parent.
    Root,
    /// Another span, of ours or of the application's own.
    Of(u64),
}

#[derive(Clone)]
enum Made {
    /// Not made yet.
    Later,
    /// The application does not want the span.
    Unwanted,
    As(Dispatch, Id),
}

struct Span {
    metadata: &'static Metadata<'static>,
    parent: Parent,
    fields: Fields,
    follows: Vec<u64>,
    /// The number of `Span` handles of it, and of spans in it.
    holders: usize,
    made: Made,
}

type Spans = HashMap<u64, Span>;

/// Our ids are far from those that a registry assigns.
static NEXT: AtomicU64 = AtomicU64::new(0x5ABD_0000_0000_0001);
static SPANS: LazyLock<Mutex<Spans>> = LazyLock::new(Mutex::default);

fn spans() -> MutexGuard<'static, Spans> {
    SPANS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn is_known(id: &Id) -> bool {
    spans().contains_key(&id.into_u64())
}

pub(super) fn metadata(id: u64) -> Option<&'static Metadata<'static>> {
    spans().get(&id).map(|span| span.metadata)
}

/// Adds a span. Its fields are kept if `later` may want them.
pub(super) fn add(attributes: &Attributes<'_>, parent: Parent, later: Option<&Dispatch>) -> Id {
    // An unwanted span is not formatted, as in live code.
    let wants = |application: &Dispatch| {
        !application.is::<NoSubscriber>() && application.enabled(attributes.metadata())
    };
    let listens = later.is_some_and(wants);
    let fields = match listens {
        true => Fields::of(|visitor| attributes.record(visitor)),
        false => Fields::default(),
    };
    let made = if listens { Made::Later } else { Made::Unwanted };
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut spans = spans();
    if let Parent::Of(parent) = parent
        && let Some(parent) = spans.get_mut(&parent)
    {
        parent.holders += 1;
    }
    let metadata = attributes.metadata();
    spans.insert(id, Span { metadata, parent, fields, follows: Vec::new(), holders: 1, made });
    Id::from_u64(id)
}

/// The subscriber of `id`, and its id there.
fn made(id: u64) -> Option<(Dispatch, Id)> {
    match &spans().get(&id)?.made {
        Made::As(dispatch, id) => Some((dispatch.clone(), id.clone())),
        Made::Later | Made::Unwanted => None,
    }
}

/// Makes `id` in the subscriber, and its parents before it.
fn make(application: &Dispatch, id: u64) {
    let mut chain = vec![id];
    {
        let spans = spans();
        while let Some(Span { made: Made::Later, parent: Parent::Of(parent), .. }) =
            chain.last().and_then(|id| spans.get(id))
        {
            chain.push(*parent);
        }
    }
    chain.into_iter().rev().for_each(|id| make_one(application, id));
}

fn make_one(application: &Dispatch, id: u64) {
    let found = {
        let spans = spans();
        match spans.get(&id) {
            Some(span) if matches!(span.made, Made::Later) => {
                Some((span.metadata, span.parent, span.fields.clone(), span.follows.clone()))
            }
            _ => None,
        }
    };
    let Some((metadata, parent, fields, follows)) = found else { return };
    let parent = match parent {
        Parent::Root => None,
        Parent::Of(parent) => in_subscriber(parent),
    };
    if !application.enabled(metadata) {
        return settle(id, Made::Unwanted);
    }
    let real = fields.with(metadata, |values| {
        let attributes = match parent {
            Some(parent) => Attributes::child_of(parent, metadata, values),
            None => Attributes::new_root(metadata, values),
        };
        application.new_span(&attributes)
    });
    settle(id, Made::As(application.clone(), real.clone()));
    for other in follows.into_iter().filter_map(in_subscriber) {
        application.record_follows_from(&real, &other);
    }
}

/// The id of a span in the subscriber: its own if it was made, or that of the nearest made span around it. An
/// id that is not in the table is the application's own.
fn in_subscriber(mut id: u64) -> Option<Id> {
    let spans = spans();
    loop {
        let Some(span) = spans.get(&id) else { return Some(Id::from_u64(id)) };
        match (&span.made, span.parent) {
            (Made::As(_, real), _) => return Some(real.clone()),
            (_, Parent::Of(parent)) => id = parent,
            (_, Parent::Root) => return None,
        }
    }
}

fn settle(id: u64, made: Made) {
    if let Some(span) = spans().get_mut(&id) {
        span.made = made;
    }
}

/// Makes a span that live code has just created. If its parent comes from the thread, the subscriber finds it
/// itself.
pub(super) fn make_now(application: &Dispatch, id: &Id, attributes: &Attributes<'_>) {
    let parent = attributes.parent().map(Id::into_u64);
    if parent.is_some_and(|parent| spans().contains_key(&parent)) {
        return make(application, id.into_u64());
    }
    let metadata = attributes.metadata();
    let made = match application.enabled(metadata) {
        true => Made::As(application.clone(), application.new_span(attributes)),
        false => Made::Unwanted,
    };
    settle(id.into_u64(), made);
}

/// The innermost span, from `id` outwards, that exists in the application's subscriber.
pub(super) fn nearest(application: &Dispatch, id: u64) -> Option<Id> {
    make(application, id);
    in_subscriber(id)
}

pub(super) fn enter(application: &Dispatch, id: u64) {
    make(application, id);
    enter_made(id);
}

pub(super) fn enter_made(id: u64) {
    if let Some((dispatch, real)) = made(id) {
        dispatcher::with_default(&dispatch, || dispatch.enter(&real));
    }
}

pub(super) fn exit(id: u64) {
    if let Some((dispatch, real)) = made(id) {
        dispatcher::with_default(&dispatch, || dispatch.exit(&real));
    }
}

pub(super) fn record(id: &Id, values: &Record<'_>) {
    let id = id.into_u64();
    match made(id) {
        Some((dispatch, real)) => dispatcher::with_default(&dispatch, || dispatch.record(&real, values)),
        None => {
            let wanted = spans().get(&id).is_some_and(|span| matches!(span.made, Made::Later));
            if wanted {
                let fields = Fields::of(|visitor| values.record(visitor));
                spans().entry(id).and_modify(|span| span.fields.extend(fields));
            }
        }
    }
}

pub(super) fn follow(id: &Id, follows: &Id) {
    let (id, follows) = (id.into_u64(), follows.into_u64());
    match made(id) {
        None => {
            spans().entry(id).and_modify(|span| {
                if matches!(span.made, Made::Later) && !span.follows.contains(&follows) {
                    span.follows.push(follows);
                }
            });
        }
        Some((dispatch, real)) => {
            if let Some(follows) = in_subscriber(follows) {
                dispatch.record_follows_from(&real, &follows);
            }
        }
    }
}

pub(super) fn share(id: &Id) -> Id {
    spans().entry(id.into_u64()).and_modify(|span| span.holders += 1);
    id.clone()
}

/// Removes one holder. The last one closes the span and releases its parent.
pub(super) fn close(id: u64) -> bool {
    let mut next = Some(id);
    let mut closed = false;
    while let Some(id) = next.take() {
        let span = {
            let mut spans = spans();
            let Some(span) = spans.get_mut(&id) else { break };
            span.holders -= 1;
            if span.holders > 0 {
                break;
            }
            spans.remove(&id)
        };
        closed = true;
        let Some(Span { made, parent, .. }) = span else { break };
        if let Made::As(dispatch, real) = made {
            dispatcher::with_default(&dispatch, || dispatch.try_close(real));
        }
        if let Parent::Of(parent) = parent {
            next = Some(parent);
        }
    }
    closed
}
