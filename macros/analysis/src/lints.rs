//! Clippy's part (layer C of the determinism catalogue): `cargo abide init` writes what workflow code must not name into
//! `clippy.toml`, and generated functions ask for those lints. So they hold in workflow code and nowhere else, and reach
//! into the expansions of other crates' macros. rustc itself knows nothing of them.

use syn::{Attribute, parse_quote};

/// For a function of workflow code. It goes last: of two levels on one item the later holds.
pub(crate) fn deny() -> Attribute {
    parse_quote!(#[deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)])
}

/// For a function whose author vouches for it.
pub(crate) fn allow() -> Attribute {
    parse_quote!(#[allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)])
}
