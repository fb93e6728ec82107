//! How a run collects what it hands on, and how the next run takes it in (PROTOCOL 61).

use crate::carried::{Carried, CarriedCancel, CarriedId, CarriedKind, CarriedSignal, CarriedUpdate};
use crate::exec::turn::Input;
use crate::primitive::cancel::table::Cancellation;
use crate::primitive::signal::table::Signals;
use crate::primitive::tables::Tables;

/// What the run of this run id would hand on now.
pub(crate) fn of(tables: &Tables, run_id: &str, now_ms: i64) -> Carried {
    let updates = tables.updates.borrow().carried(run_id);
    collect(&tables.signals.borrow(), &tables.cancellation.borrow(), updates, now_ms)
}

/// The same, of these tables and updates.
pub(super) fn collect(
    signals: &Signals,
    cancellation: &Cancellation,
    updates: Vec<CarriedUpdate>,
    now_ms: i64,
) -> Carried {
    let id = |kind| move |(id, at_ms): (&str, i64)| CarriedId { kind, id: id.to_owned(), at_ms };
    let of_signals = signals.known.all().into_iter().map(id(CarriedKind::Signal));
    let of_cancels = cancellation.known.all().into_iter().map(id(CarriedKind::Cancel));
    let unhandled = signals.unhandled.values().map(|kept| CarriedSignal {
        name: kept.name.clone(),
        input: kept.input.clone(),
        request_id: kept.request_id.clone(),
    });
    let carried = Carried {
        signals: unhandled.collect(),
        cancel: cancellation.pending(),
        known: of_signals.chain(of_cancels).collect(),
        updates,
    };
    carried.limited(now_ms)
}

/// An input of a turn, and whether the run before has handed it on.
pub(crate) type Taken = (Input, bool);

/// Puts the messages that the run before has handed on among the inputs of the first turn: the signals directly
/// after the start, and the request to cancel after all signals, so that shielded blocks can begin.
pub(crate) fn spread(inputs: Vec<Input>) -> Vec<Taken> {
    let mut all: Vec<Taken> = Vec::with_capacity(inputs.len());
    let mut cancel = None;
    for input in inputs {
        if cancel.is_some() && !matches!(input, Input::Signal { .. } | Input::Update { .. }) {
            all.extend(cancel.take());
        }
        let carried = match &input {
            Input::Start { context, .. } => Some(context.carried.clone()),
            _ => None,
        };
        all.push((input, false));
        let Some(Carried { signals, cancel: asked, .. }) = carried else { continue };
        let signal = |CarriedSignal { name, input, request_id }| Input::Signal { name, input, request_id };
        all.extend(signals.into_iter().map(|kept| (signal(kept), true)));
        let asking = |CarriedCancel { request_id, reason }| (Input::Cancel { request_id, reason }, true);
        cancel = asked.map(asking);
    }
    all.extend(cancel);
    all
}
