//! The fields of a span or an event, kept so that a span seen during a replay can be reported later.

use std::fmt::{self, Write as _};
use tracing::Metadata;
use tracing::field::{self, DebugValue, Field, Value, ValueSet, Visit};

/// More fields than this are not kept.
const MAX: usize = 128;

#[derive(Clone)]
enum Kept {
    F64(f64),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    Bool(bool),
    Str(String),
    Text(DebugValue<Text>),
}

impl Kept {
    fn value(&self) -> &dyn Value {
        match self {
            Self::F64(value) => value,
            Self::I64(value) => value,
            Self::U64(value) => value,
            Self::I128(value) => value,
            Self::U128(value) => value,
            Self::Bool(value) => value,
            Self::Str(value) => value,
            Self::Text(value) => value,
        }
    }
}

/// The text that a value's `Debug` wrote.
#[derive(Clone)]
struct Text(String);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kept fields; see the head of this module.
#[derive(Clone, Default)]
pub(super) struct Fields(Vec<(Field, Kept)>);

impl Fields {
    pub(super) fn of(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut fields = Self::default();
        record(&mut fields);
        fields
    }

    /// Adds fields that were recorded later.
    pub(super) fn extend(&mut self, later: Self) {
        later.0.into_iter().for_each(|(field, value)| self.keep(&field, value));
    }

    fn keep(&mut self, field: &Field, value: Kept) {
        match self.0.iter().position(|(known, _)| known == field) {
            Some(at) => self.0[at].1 = value,
            None if self.0.len() < MAX => self.0.push((field.clone(), value)),
            None => {}
        }
    }

    /// Passes them to `f` in the form that `tracing` uses.
    pub(super) fn with<R>(
        &self,
        metadata: &'static Metadata<'static>,
        f: impl FnOnce(&ValueSet<'_>) -> R,
    ) -> R {
        let Some((first, _)) = self.0.first() else {
            let none: [(&Field, Option<&dyn Value>); 0] = [];
            return f(&metadata.fields().value_set(&none));
        };
        let mut values: [(&Field, Option<&dyn Value>); MAX] = [(first, None); MAX];
        for (slot, (field, kept)) in values.iter_mut().zip(&self.0) {
            *slot = (field, Some(kept.value()));
        }
        f(&metadata.fields().value_set(&values))
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, Kept::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, Kept::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, Kept::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.keep(field, Kept::I128(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.keep(field, Kept::U128(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, Kept::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, Kept::Str(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // If formatting fails, the text so far is kept.
        let _ = write!(text, "{value:?}");
        self.keep(field, Kept::Text(field::debug(Text(text))));
    }
}

/// Formats each value and discards the text.
pub(super) struct Format;

struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

impl Visit for Format {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        // Ignore formatting errors: if a subscriber listens, it handles them.
        let _ = write!(Nowhere, "{value:?}");
    }
}
