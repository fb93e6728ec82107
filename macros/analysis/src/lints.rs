//! The part of clippy (layer C of `docs/determinism.md`). `cargo abide init` writes the paths that workflow
//! code must not use into `clippy.toml`, and generated functions enable those lints. So they apply only in
//! workflow code, and also in the expansions of other crates' macros. rustc itself does not know these lints.

use syn::{Attribute, parse_quote};

/// For a function of workflow code. It comes last, because the later of two levels on one item applies.
pub(crate) fn deny() -> Attribute {
    parse_quote!(#[deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)])
}

/// For a function marked `deterministic`.
pub(crate) fn allow() -> Attribute {
    parse_quote!(#[allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)])
}
