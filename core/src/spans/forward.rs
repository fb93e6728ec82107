//! The subscriber of workflow code. It wants every callsite, and records nothing itself.

use super::fields::{Fields, Format};
use super::scope::{Scope, scope};
use super::table::{self, Parent};
use std::sync::LazyLock;
use tracing::dispatcher::Dispatch;
use tracing::metadata::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// The dispatchers live until the process ends. `tracing` asks every living dispatcher for its interest when
/// it caches the interest of a callsite or the highest level of the process. With a single dispatcher,
/// `tracing` asks only the thread's own, and would cache a callsite that an activity reaches first as
/// unwanted. So there are two.
pub(super) static FORWARD: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [Dispatch::new(Forward), Dispatch::new(Forward)]);

/// The subscriber; see the head of this module.
struct Forward;

/// Crates that no workflow code runs in. Their callsites keep the cost of the application's subscriber.
const ELSEWHERE: &[&str] = &[
    "abide",
    "abide_core",
    "async_io",
    "axum",
    "axum_core",
    "h2",
    "h3",
    "hyper",
    "hyper_util",
    "mio",
    "opentelemetry",
    "opentelemetry_sdk",
    "polling",
    "quinn",
    "quinn_proto",
    "quinn_udp",
    "reqwest",
    "rustls",
    "sqlx",
    "sqlx_core",
    "sqlx_mysql",
    "sqlx_postgres",
    "sqlx_sqlite",
    "tokio",
    "tokio_util",
    "tonic",
    "tower",
    "tower_http",
    "want",
];

fn is_elsewhere(metadata: &Metadata<'_>) -> bool {
    let name = metadata.module_path().map(|path| path.split("::").next().unwrap_or(path));
    name.is_some_and(|name| ELSEWHERE.binary_search(&name).is_ok())
}

impl Scope {
    /// The subscriber that receives the output. `None` while muted.
    fn listener(&self) -> Option<&Dispatch> {
        (!self.muted).then_some(&self.application)
    }

    fn parent_of(&self, attributes: &Attributes<'_>) -> Parent {
        match attributes.parent() {
            Some(parent) => Parent::Of(parent.into_u64()),
            None if attributes.is_contextual() => self.entered.innermost().map_or(Parent::Root, Parent::Of),
            None => Parent::Root,
        }
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match is_elsewhere(metadata) {
            true => Interest::never(),
            // Not `always`: on other threads, `tracing` must ask the thread's own subscriber.
            false => Interest::sometimes(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_elsewhere(metadata)
            || scope().is_some_and(|scope| scope.listener().is_some_and(|to| to.enabled(metadata)))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let Some(scope) = scope() else { return table::add(attributes, Parent::Root, None) };
        if scope.entered.format.get() && !scope.muted {
            attributes.record(&mut Format);
        }
        let parent = scope.parent_of(attributes);
        // A span of live code is made at once from its original values.
        let later = scope.muted || attributes.parent().is_some_and(table::is_known);
        let id = table::add(attributes, parent, later.then_some(&scope.application));
        if let Some(application) = scope.listener() {
            table::make_now(application, &id, attributes);
        }
        id
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        table::record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        table::follow(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        let Some(scope) = scope() else { return };
        let Some(application) = scope.listener() else { return };
        if scope.entered.format.get() {
            event.record(&mut Format);
        }
        let of = event.parent().filter(|parent| table::is_known(parent));
        let real = of.map(|parent| table::nearest(application, parent.into_u64()));
        if !application.enabled(event.metadata()) {
            return;
        }
        match real {
            None => application.event(event),
            Some(parent) => {
                let metadata = event.metadata();
                Fields::of(|visitor| event.record(visitor)).with(metadata, |values| {
                    application.event(&Event::new_child_of(parent, metadata, values));
                });
            }
        }
    }

    fn enter(&self, span: &Id) {
        let id = span.into_u64();
        match scope() {
            None => table::enter_made(id),
            Some(scope) => {
                scope.entered.push(id);
                if let Some(application) = scope.listener() {
                    table::enter(application, id);
                }
            }
        }
    }

    fn exit(&self, span: &Id) {
        let id = span.into_u64();
        let told = match scope() {
            None => true,
            Some(scope) => scope.entered.remove(id) && !scope.muted,
        };
        if told {
            table::exit(id);
        }
    }

    fn clone_span(&self, span: &Id) -> Id {
        match (table::is_known(span), scope()) {
            (false, Some(scope)) => scope.application.clone_span(span),
            _ => table::share(span),
        }
    }

    fn try_close(&self, span: Id) -> bool {
        match (table::is_known(&span), scope()) {
            // A registry closes its own spans through the thread's dispatcher.
            (false, Some(scope)) => scope.application.try_close(span),
            _ => table::close(span.into_u64()),
        }
    }

    fn current_span(&self) -> Current {
        let innermost = scope().and_then(|scope| scope.entered.innermost());
        let found = innermost.and_then(|id| Some((id, table::metadata(id)?)));
        found.map_or_else(Current::none, |(id, metadata)| Current::new(Id::from_u64(id), metadata))
    }
}
