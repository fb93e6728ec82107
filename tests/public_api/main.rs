//! The public API of `abide`, as a list in `snapshots/`: a change of the API is a change of the list, which a
//! review sees.
//!
//! `INSTA_UPDATE=always cargo test -p abide-tests --test public_api` writes it again. The list is read from
//! the sources by syn, as rustc would need a nightly to tell it: `sources` parses the crates, `names` follows
//! paths and re-exports, `list` walks what is public, and `print` writes one line for each item. What cannot
//! be followed fails the test.
//!
//! Not listed: what is `#[doc(hidden)]`, impls that a `macro_rules!` writes, what a derive makes beyond its
//! name, and auto traits.

mod list;
mod names;
mod print;
mod sources;

use sources::Crate;
use std::path::Path;

/// Types that a program meets without naming them: what calls of activities and workflows give.
const UNNAMED: &[&str] = &["ActivityCall", "WorkflowCall"];

#[test]
fn the_public_api_is_the_one_that_was_agreed_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in a workspace");
    let crates = [("abide", "runtime"), ("abide_core", "core"), ("abide_macros", "macros")]
        .map(|(name, folder)| Crate::read(name, &root.join(folder).join("src")));
    insta::assert_snapshot!("abide", list::public_api(&crates, UNNAMED));
}

/// The list of a crate of one file, beside a second one.
#[cfg(test)]
fn listed(text: &str, other: &str) -> String {
    list::public_api(&[Crate::of("abide", text), Crate::of("abide_core", other)], &[])
}

#[test]
fn what_is_public_is_listed_under_its_public_name() {
    let text = "
        mod inner {
            #[derive(Clone)] #[non_exhaustive]
            pub struct Order { pub id: u32, secret: u8, #[doc(hidden)] pub raw: u8 }
            impl Order {
                pub fn new(id: u32) -> Self { todo() }
                fn private(&self) {}
                #[doc(hidden)] pub fn hidden(&self) {}
            }
            impl std::fmt::Display for Order { fn fmt(&self) {} }
            pub struct Unreachable;
            impl Unreachable { pub fn f() {} }
        }
        pub use inner::Order;
        pub use abide_core::deep::*;
        pub use other::Foreign;
        #[cfg(feature = \"testing\")] pub mod testing { pub const LIMIT: u32 = 1; pub use super::Order as Again; }
        mod mock { pub fn mock() {} }
        pub use mock::mock;
        pub mod prelude { pub use crate::testing; }
        #[cfg(test)] pub mod tests { pub fn f() {} }
        #[doc(hidden)] pub mod __private { pub fn f() {} }
    ";
    let other = "pub mod deep { pub use crate::inside::Kind; pub trait Far: Send { fn go(&self); fn stay(&self) {} } }
                 mod inside { pub enum Kind { A, B { n: u32 } } }";
    let expected = "\
#[derive(Clone)] #[non_exhaustive] pub struct abide::Order
pub abide::Order::id: u32
pub fn abide::Order::new(id: u32) -> Self
impl std::fmt::Display for abide::Order
pub trait abide::Far: Send
fn abide::Far::go(&self)
fn abide::Far::stay(&self) { .. }
pub enum abide::Kind
abide::Kind::A
abide::Kind::B { n: u32 }
pub use abide::Foreign = other::Foreign
pub fn abide::mock()
pub mod abide::prelude
pub use abide::prelude::testing = abide::testing
#[cfg(feature = \"testing\")] pub mod abide::testing
#[cfg(feature = \"testing\")] pub const abide::testing::LIMIT: u32
#[cfg(feature = \"testing\")] pub use abide::testing::Again = abide::Order
";
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&listed(text, other)), sorted(expected));
}

#[test]
#[should_panic(expected = "`pub use inner::Gone` leads nowhere")]
fn a_name_that_leads_nowhere_is_told() {
    listed("mod inner {} pub use inner::Gone;", "");
}
