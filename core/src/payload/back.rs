//! Checks that a value comes back unchanged from its JSON. The check runs on write, because the writer can
//! still get an error. In history such a value would suspend its execution for good, or silently be another
//! value.

use super::look::Look;
use super::place::Path;
use super::risk::{Risk, Risks, Step, Watch};
use super::unread::unread;
use super::{Payload, PayloadError};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Write as _;

/// The most places that are examined and reported.
const NOTED: usize = 1_000;
const TOLD: usize = 3;

/// Why `payload`, the JSON of `value`, does not come back as that value. For nearly all values, a look at
/// their shape is enough. The look costs nothing if the type has no part that could be lost.
#[inline]
pub(super) fn refusal<T: Serialize + DeserializeOwned>(value: &T, payload: &Payload) -> Option<PayloadError> {
    match Risks::of(value) {
        Ok(risks) if risks.is_none() => None,
        Ok(risks) => read_back(value, payload, risks),
        Err(unseen) => {
            Some(PayloadError::Encode { type_name: std::any::type_name::<T>(), message: unseen.to_string() })
        }
    }
}

#[cold]
#[inline(never)]
fn read_back<T: Serialize + DeserializeOwned>(
    value: &T,
    payload: &Payload,
    before: Risks,
) -> Option<PayloadError> {
    let type_name = std::any::type_name::<T>();
    let back = match serde_json::from_str::<T>(payload.as_json()) {
        Ok(back) => back,
        Err(error) => {
            let message = unread(payload.as_json(), &error);
            // A field that was left out is a reason only if a missing field is reported.
            let missing = message.starts_with("missing field");
            let places = told(Spots::of(value), |spot| (spot.1 == Risk::LeftOut) == missing);
            return Some(PayloadError::Unreadable { type_name, message, places });
        }
    };
    match Risks::of(&back) {
        Ok(after) if after == before => None,
        Ok(after) => {
            let (spots, still) = (Spots::of(value), Spots::of(&back).0);
            let lost = |spot: &Spot| !before.agree(&after, spot.1) && !still.contains(spot);
            Some(PayloadError::Changed { type_name, places: told(spots, lost) })
        }
        Err(unseen) => Some(PayloadError::Encode { type_name, message: unseen.to_string() }),
    }
}

/// A path, and the risk there.
type Spot = (String, Risk);

/// The spots that `fits` accepts, one clause each. All spots if it accepts none.
fn told(spots: Spots, fits: impl Fn(&Spot) -> bool) -> String {
    let all = spots.0;
    let fitting: Vec<&Spot> = all.iter().filter(|spot| fits(spot)).collect();
    let fitting = if fitting.is_empty() { all.iter().collect() } else { fitting };
    let clauses: Vec<String> = fitting.iter().take(TOLD).map(|spot| clause(spot)).collect();
    let mut text = clauses.join("; ");
    if let Some(more) = fitting.len().checked_sub(TOLD).filter(|more| *more > 0) {
        let _ = write!(text, "; and {more} more");
    }
    text
}

fn clause((path, risk): &Spot) -> String {
    let what = match risk {
        Risk::NotANumber => "is `NaN`, which JSON has not",
        Risk::Infinite => "is infinite, which JSON has not",
        Risk::NegativeInfinite => "is negative infinity, which JSON has not",
        Risk::SomeNull => "is a `Some` that is written as `null`, as `None` is",
        Risk::Wide => "is a 128-bit integer",
        Risk::Key => "has keys that are no texts",
        Risk::Raw => "is JSON kept as text",
        Risk::LeftOut => "is left out",
    };
    match path.as_str() {
        "" => format!("the value {what}"),
        path => format!("`{path}` {what}"),
    }
}

/// The first risks of a value, in the value's own order.
#[derive(Default)]
struct Spots(Vec<Spot>);

impl Spots {
    fn of<T: Serialize>(value: &T) -> Self {
        let mut look = Look::new(Trail::default());
        // It has just succeeded with another watch.
        let _ = value.serialize(&mut look);
        look.watch.spots
    }
}

/// Notes the path of each risk.
#[derive(Default)]
struct Trail {
    path: Path,
    spots: Spots,
}

impl Watch for Trail {
    fn enter(&mut self, step: Step<'_>) -> usize {
        match step {
            Step::Field(name) => self.path.field(name),
            Step::Index(index) => self.path.index(index),
            Step::Key(key, nth) => self.path.key(key, nth),
        }
    }

    fn leave(&mut self, mark: usize) {
        self.path.leave(mark);
    }

    fn met(&mut self, risk: Risk) {
        let spots = &mut self.spots.0;
        if spots.len() == NOTED {
            return;
        }
        let path = self.path.cut().into_owned();
        // A `Some(NaN)` has two risks, and a map with numbers as keys has many.
        if spots.last().is_none_or(|(last, _)| *last != path) {
            spots.push((path, risk));
        }
    }

    fn key<K: Serialize + ?Sized>(&self, key: &K) -> String {
        // A key that is not a text has no name.
        serde_json::to_value(key).ok().and_then(|key| key.as_str().map(str::to_owned)).unwrap_or_default()
    }
}
