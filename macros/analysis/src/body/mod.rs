//! The body of workflow code, rewritten: each `.await` is guarded, and where the body uses `self` the state is handed
//! over at it (API.md §4).
//!
//! ```text
//! self.x += 1;      __self.x += 1;                                     // `__self`: a plain `&mut S`
//! e.await           match guard(e, &SITE) { f => {                     // `match` keeps temporaries alive, as `.await` does
//!                       let parked = state.park();            // one borrow, so one E0499 at most
//!                       let value = f.await;
//!                       __self = parked.resume();
//!                       value } }
//! async { self }    block(async { /* takes the state at its first poll */ })
//! ```
//! Locals have call-site hygiene and the spans of the user's tokens: rustc then speaks of `self` and `.await` where
//! the user wrote them. A body with findings of our own is replaced by a stub, so that rustc adds none.

mod candidates;
mod cells;
mod constant;
mod hoist;
mod join;
mod macros;
mod probe;
mod reasons;
mod rewrite;
mod select;
mod tail;

use crate::errors::Errors;
use crate::krate::Private;
use crate::signature::{contains_word, has_impl_trait};
pub(crate) use cells::ends;
pub(crate) use join::awaiting;
use probe::Probes;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use rewrite::{Rewriter, Scope};
pub(crate) use select::select_of;
use syn::spanned::Spanned;
use syn::{Block, Type};

/// What a body belongs to, which says where its state comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// `run` of a workflow with state: `__abide_slot` is an argument.
    Run,
    /// A free-function workflow: it has no state.
    FreeRun,
    /// An async method: the slot is that of the execution that runs now.
    Method,
    /// A free helper: no state.
    Free,
}

/// An async body to be rewritten.
pub(crate) struct AsyncBody<'a> {
    pub(crate) private: &'a Private,
    pub(crate) home: Home,
    /// Whether the user wrote `&self`: the body then gets `&S`, and rustc refuses changes.
    pub(crate) shared: bool,
    /// Where the state's local is said to be made: the `self` of the signature.
    pub(crate) receiver: Span,
    /// Statements that bind the arguments.
    pub(crate) bindings: TokenStream,
    /// The arguments' names, which a stub uses up.
    pub(crate) names: Vec<Ident>,
    pub(crate) output: &'a Type,
    pub(crate) block: &'a Block,
    /// Whether values are probed.
    pub(crate) probes: bool,
}

impl AsyncBody<'_> {
    /// The expression that makes the body's future.
    pub(crate) fn expand(&self, errors: &mut Errors) -> TokenStream {
        let (private, bindings) = (self.private, &self.bindings);
        let uses_self = uses_self(self.block) && matches!(self.home, Home::Run | Home::Method);
        let scope = Scope {
            me: uses_self,
            native: false,
            slot: matches!(self.home, Home::Run | Home::Method),
            awaits: true,
        };
        let before = errors.len();
        reasons::check(self.block, errors);
        let probes = Probes::new(self.probes, self.output, self.block.brace_token.span.join());
        let mut rewriter = Rewriter::new(private, errors, scope, self.receiver, probes);
        rewriter.is_free_workflow = self.home == Home::FreeRun;
        let statements = rewriter.statements(self.block);
        let (slot_used, awaits, broken) = (rewriter.slot_used, rewriter.awaited, rewriter.broken);
        if broken || errors.len() > before {
            return self.stub();
        }
        let prelude = match uses_self {
            true => take_state(
                private,
                self.receiver,
                &Taken { receiver: self.receiver, shared: self.shared, slot_used, awaits },
            ),
            false => TokenStream::new(),
        };
        let pin = pin_output(private, self.output);
        let slot = match self.home {
            Home::Method if uses_self || slot_used => {
                quote!(let __abide_slot = #private::This::current(self).slot();)
            }
            _ => TokenStream::new(),
        };
        // The braces are the user's, so that "expected `X`, found `()`" points at them.
        let braced =
            quote_spanned!(self.block.brace_token.span.join()=> { #pin #bindings #prelude #statements });
        quote!(#slot #private::block(async move #braced))
    }

    /// What stands for a body in which mistakes were found.
    pub(crate) fn stub(&self) -> TokenStream {
        let (private, bindings, names) = (self.private, &self.bindings, &self.names);
        let output = self.output;
        match has_impl_trait(output) {
            true => quote!(#private::never()),
            false => {
                quote!(#private::block(async move { #[allow(unused_mut)] #bindings let _ = (#(&#names,)*); #private::never::<#output>() }))
            }
        }
    }
}

/// Rewrites the async blocks in a plain method or function, whose `self` stays what it is, and probes its values.
/// `receiver` is the `self` of a method of the workflow's state: async blocks take that from its slot.
pub(crate) fn sync_body(
    private: &Private,
    receiver: Option<Span>,
    block: &Block,
    output: &Type,
    probes: bool,
    errors: &mut Errors,
) -> TokenStream {
    if !probes && !contains_word(block.to_token_stream(), &["async", "until"]) {
        return block.to_token_stream();
    }
    let before = errors.len();
    reasons::check(block, errors);
    let scope = Scope { me: false, native: receiver.is_some(), slot: receiver.is_some(), awaits: false };
    let receiver = receiver.unwrap_or_else(Span::call_site);
    let probes = Probes::new(probes, output, block.brace_token.span.join());
    let mut rewriter = Rewriter::new(private, errors, scope, receiver, probes);
    let statements = rewriter.statements(block);
    let broken = rewriter.broken;
    let slot = match rewriter.slot_used {
        true => quote!(let __abide_slot = #private::This::current(self).slot();),
        false => TokenStream::new(),
    };
    if broken || errors.len() > before {
        return quote!({ #private::never() });
    }
    quote_spanned!(block.brace_token.span.join()=> { #slot #statements })
}

/// Whether `self` is used as a value somewhere in the tokens.
fn uses_self(tokens: &impl ToTokens) -> bool {
    contains_word(tokens.to_token_stream(), &["self"])
}

/// An identifier of ours at the user's `at`, with the hygiene of the receiver: rustc then names it in its words, and all
/// of them mean the same local even where the user's tokens come out of a macro.
fn local(name: &str, at: Span, receiver: Span) -> Ident {
    Ident::new(name, at.resolved_at(receiver))
}

/// What `self` is called in a rewritten body.
const ME: &str = "self_";
/// The local that holds the state. rustc names it in its E0499, the error of a reference that is kept across an await; it takes
/// no note of ours there, so the name says where help is: AB0314.
const STATE: &str = "workflow_state_see_ab0314";

/// The statements that take the state from `__abide_slot`, at the start of a body.
///
/// `let _ = &self_` reads it: rustc must not call it unused in a body that only assigns to it, after its last await.
fn take_state(private: &Private, at: Span, state: &Taken) -> TokenStream {
    let Taken { receiver, shared, slot_used, awaits } = *state;
    let (state, me) = (local(STATE, at, receiver), local(ME, at, receiver));
    // The whole pattern needs it: rustc names no local whose pattern has a word of an expansion in it.
    let own = at.resolved_at(receiver);
    let state_pattern = quote_spanned!(own=> mut #state);
    let at = at.resolved_at(Span::call_site());
    let again = slot_used.then(|| quote!(let __abide_slot = #state.slot();));
    let slot = Ident::new("__abide_slot", Span::call_site());
    let mutable = awaits.then(|| quote!(mut));
    let ty = match shared {
        true => quote_spanned!(at=> &_),
        false => quote_spanned!(at=> &mut _),
    };
    quote_spanned! {at=>
        let #state_pattern = #private::This::of(#slot);
        #again
        let #mutable #me: #ty = #state.resume();
        let _ = &#me;
    }
}

/// How a body takes the state.
struct Taken {
    receiver: Span,
    /// By `&self`.
    shared: bool,
    /// Whether the body names the slot.
    slot_used: bool,
    /// Whether it gives the state away at an await and takes it again.
    awaits: bool,
}

/// Tells rustc the type of an async block: from its `?`s and its last expression it guesses wrong.
fn pin_output(private: &Private, output: &Type) -> TokenStream {
    match has_impl_trait(output) {
        true => TokenStream::new(),
        false => {
            let at = output.span().resolved_at(Span::call_site());
            let private = private.at(at);
            quote_spanned!(at=> if false { return #private::never::<#output>(); })
        }
    }
}
