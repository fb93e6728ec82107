//! A serializer that writes nothing. It looks for values that may not be read back unchanged from their JSON.
//!
//! JSON has no `NaN` and no `Some(None)`. serde buffers `untagged`, tagged or flattened types, and its buffer
//! supports no 128-bit integers and only texts as keys. Whether such a value comes back depends on the type's
//! own `Deserialize`. So a risk found here is a reason to read the JSON back, and not a result.
//!
//! For a type without floats, options, 128-bit integers and maps, the compiler optimizes the whole look away.

use super::risk::{Counted, Risk, Risks, Step, Unseen, Watch, Wrote};
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::fmt;

impl Risks {
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Unseen> {
        let mut look = Look { risks: Self::default(), watch: Counted };
        value.serialize(&mut look)?;
        Ok(look.risks)
    }
}

/// The serializer; see the head of this module.
pub(super) struct Look<W> {
    risks: Risks,
    pub(super) watch: W,
}

type Seen = Result<Wrote, Unseen>;

impl<W: Watch> Look<W> {
    pub(super) fn new(watch: W) -> Self {
        Self { risks: Risks::default(), watch }
    }

    #[inline]
    fn meet(&mut self, risk: Risk) {
        let count = &mut self.risks.counts[risk as usize];
        *count = count.wrapping_add(1);
        self.watch.met(risk);
    }

    #[inline]
    fn float(&mut self, is_nan: bool, is_infinite: bool, is_negative: bool) -> Seen {
        match (is_nan, is_infinite) {
            (true, _) => self.meet(Risk::NotANumber),
            (_, true) if is_negative => self.meet(Risk::NegativeInfinite),
            (_, true) => self.meet(Risk::Infinite),
            _ => return Ok(Wrote::Other),
        }
        Ok(Wrote::Null)
    }

    #[inline]
    fn wide(&mut self, bits: u128) -> Seen {
        self.risks.wide = self.risks.wide.wrapping_add(bits);
        self.meet(Risk::Wide);
        Ok(Wrote::Other)
    }

    #[inline]
    fn child<T: Serialize + ?Sized>(&mut self, step: Step<'_>, value: &T) -> Seen {
        let mark = self.watch.enter(step);
        let wrote = value.serialize(&mut *self)?;
        self.watch.leave(mark);
        Ok(wrote)
    }

    fn inner(&mut self, variant: Option<&'static str>) -> Inner<'_, W> {
        let mark = variant.map(|name| self.watch.enter(Step::Field(name)));
        Inner { look: self, index: 0, mark, key: String::new() }
    }
}

/// The part of the look inside a list, a map or a struct.
pub(super) struct Inner<'a, W> {
    look: &'a mut Look<W>,
    index: usize,
    /// Set in an enum's variant: the variant's name is a step of its own.
    mark: Option<usize>,
    key: String,
}

impl<W: Watch> Inner<'_, W> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unseen> {
        self.look.child(Step::Index(self.index), value)?;
        self.index += 1;
        Ok(())
    }

    #[inline]
    fn left_out(&mut self, name: &'static str) {
        let mark = self.look.watch.enter(Step::Field(name));
        self.look.meet(Risk::LeftOut);
        self.look.watch.leave(mark);
    }

    #[inline]
    fn done(self) -> Seen {
        if let Some(mark) = self.mark {
            self.look.watch.leave(mark);
        }
        Ok(Wrote::Other)
    }
}

/// Methods that ignore their value.
macro_rules! nothing {
    ($($method:ident($type:ty) -> $wrote:ident)*) => {$(
        #[inline]
        fn $method(self, _: $type) -> Seen {
            Ok(Wrote::$wrote)
        }
    )*};
}

impl<'a, W: Watch> Serializer for &'a mut Look<W> {
    type Ok = Wrote;
    type Error = Unseen;
    type SerializeSeq = Inner<'a, W>;
    type SerializeTuple = Inner<'a, W>;
    type SerializeTupleStruct = Inner<'a, W>;
    type SerializeTupleVariant = Inner<'a, W>;
    type SerializeMap = Inner<'a, W>;
    type SerializeStruct = Inner<'a, W>;
    type SerializeStructVariant = Inner<'a, W>;

    nothing! {
        serialize_bool(bool) -> Other
        serialize_i8(i8) -> Other
        serialize_i16(i16) -> Other
        serialize_i32(i32) -> Other
        serialize_i64(i64) -> Other
        serialize_u8(u8) -> Other
        serialize_u16(u16) -> Other
        serialize_u32(u32) -> Other
        serialize_u64(u64) -> Other
        serialize_char(char) -> Text
        serialize_str(&str) -> Text
        serialize_bytes(&[u8]) -> Other
        serialize_unit_struct(&'static str) -> Null
    }

    #[inline]
    fn serialize_i128(self, value: i128) -> Seen {
        self.wide(value as u128)
    }

    #[inline]
    fn serialize_u128(self, value: u128) -> Seen {
        self.wide(value)
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Seen {
        self.float(value.is_nan(), value.is_infinite(), value < 0.0)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Seen {
        self.float(value.is_nan(), value.is_infinite(), value < 0.0)
    }

    #[inline]
    fn serialize_none(self) -> Seen {
        Ok(Wrote::Null)
    }

    #[inline]
    fn serialize_unit(self) -> Seen {
        Ok(Wrote::Null)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Seen {
        let wrote = value.serialize(&mut *self)?;
        if wrote == Wrote::Null {
            self.meet(Risk::SomeNull);
        }
        Ok(wrote)
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Seen {
        Ok(Wrote::Text)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Seen {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Seen {
        self.child(Step::Field(variant), value)?;
        Ok(Wrote::Other)
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Unseen> {
        Ok(self.inner(None))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unseen> {
        Ok(self.inner(None))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unseen> {
        Ok(self.inner(None))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unseen> {
        Ok(self.inner(Some(variant)))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unseen> {
        Ok(self.inner(None))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeStruct, Unseen> {
        // JSON that is kept as text, such as `Payload`. serde's buffer does not support it.
        if name == "$serde_json::private::RawValue" {
            self.meet(Risk::Raw);
        }
        Ok(self.inner(None))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unseen> {
        Ok(self.inner(Some(variant)))
    }

    /// The text itself is not needed.
    #[inline]
    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Seen {
        Ok(Wrote::Text)
    }
}

/// Lists of all kinds.
macro_rules! lists {
    ($($trait:ident::$method:ident)*) => {$(
        impl<W: Watch> $trait for Inner<'_, W> {
            type Ok = Wrote;
            type Error = Unseen;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unseen> {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Seen {
                self.done()
            }
        }
    )*};
}
lists! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

/// Types with named fields.
macro_rules! fields {
    ($($trait:ident)*) => {$(
        impl<W: Watch> $trait for Inner<'_, W> {
            type Ok = Wrote;
            type Error = Unseen;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unseen> {
                self.look.child(Step::Field(name), value).map(|_| ())
            }

            #[inline]
            fn skip_field(&mut self, name: &'static str) -> Result<(), Unseen> {
                self.left_out(name);
                Ok(())
            }

            #[inline]
            fn end(self) -> Seen {
                self.done()
            }
        }
    )*};
}
fields!(SerializeStruct SerializeStructVariant);

impl<W: Watch> SerializeMap for Inner<'_, W> {
    type Ok = Wrote;
    type Error = Unseen;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unseen> {
        if key.serialize(&mut *self.look)? != Wrote::Text {
            self.look.meet(Risk::Key);
        }
        self.key = self.look.watch.key(key);
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unseen> {
        self.index += 1;
        self.look.child(Step::Key(&self.key, self.index), value).map(|_| ())
    }

    #[inline]
    fn end(self) -> Seen {
        self.done()
    }
}
