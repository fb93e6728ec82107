//! The logic of abide's attributes, as a plain library: parse → model → check → graph → expand, over
//! `proc_macro2` tokens. The macros are thin entry points to it, and tools use it without a compiler.
//!
//! **Total**: every function here accepts any token stream and never panics. A user's mistake becomes
//! `compile_error!`s on the user's tokens *and* an expansion with the same signatures. So one mistake gives
//! one message, and an editor still understands incomplete code.

mod activity;
mod args;
mod attributes;
mod body;
mod catalogue;
mod conditional;
mod depth;
mod durations;
mod endless;
mod errors;
mod exceptions;
mod graph;
mod helper;
mod krate;
mod lexical;
mod lints;
mod literals;
mod misplaced;
mod order;
mod queueing;
mod retry;
mod rules;
mod signature;
mod source;
mod stored;
mod suggest;
mod text;
mod workflow;

pub use catalogue::{Forbidden, catalogue, forbidden};
pub use endless::{EndlessLoop, endless_loops};
pub use exceptions::{Exception, ExceptionKind, exceptions};
use proc_macro2::TokenStream;

/// `#[activity]`, on a free `async fn` or on an `impl` block.
pub fn activity(args: TokenStream, item: TokenStream) -> TokenStream {
    depth::shallow(args, item, |args, item| conditional::decided("activity", args, item, activity::expand))
}

/// `#[workflow]`, on an `impl` block with a `#[run]` method or on a free `async fn`.
pub fn workflow(args: TokenStream, item: TokenStream) -> TokenStream {
    depth::shallow(args, item, |args, item| conditional::decided("workflow", args, item, workflow::expand))
}

/// `#[workflow::helper]`, on a function, a method, an `impl`, a `trait`, or an inline `mod`.
pub fn helper(args: TokenStream, item: TokenStream) -> TokenStream {
    depth::shallow(args, item, |args, item| conditional::decided("helper", args, item, helper::expand))
}

/// `#[workflow::deterministic("why")]`: a helper for which its author takes responsibility.
pub fn deterministic(args: TokenStream, item: TokenStream) -> TokenStream {
    depth::shallow(args, item, |args, item| {
        conditional::decided("deterministic", args, item, helper::expand_deterministic)
    })
}

/// `#[run]`, `#[init]`, `#[signal]` and `#[query]` that no `#[workflow]` has removed. Always an error that
/// says where they belong.
pub fn misplaced(name: &str, args: TokenStream, item: TokenStream) -> TokenStream {
    misplaced::expand(name, args, item)
}
