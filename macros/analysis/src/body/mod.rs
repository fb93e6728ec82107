//! Rewrites the body of workflow code. Each `.await` is guarded. If the body uses `self`, each await also
//! hands over the state.
//!
//! ```text
//! self.x += 1;      __self.x += 1;                      // `__self`: a plain `&mut S`
//! e.await           match guard(e, &SITE) { f => {      // `match` keeps temporaries alive, as `.await` does
//!                       let parked = state.park();  // one borrow, so one E0499 at most
//!                       let value = f.await;
//!                       __self = parked.resume();
//!                       value } }
//! async { self }    block(async { /* takes the state at its first poll */ })
//! ```
//! Locals have call-site hygiene and the spans of the user's tokens, so rustc's messages mention `self` and
//! `.await` where the user wrote them. A body with findings of our own is replaced by a stub, so that rustc
//! adds none.

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

/// The kind of a body, which decides where its state comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// `run` of a workflow with state: `__abide_slot` is an argument.
    Run,
    /// A free-function workflow: it has no state.
    FreeRun,
    /// An async method: the slot of the current execution.
    Method,
    /// A free helper: no state.
    Free,
}

/// An async body to be rewritten.
pub(crate) struct AsyncBody<'a> {
    pub(crate) private: &'a Private,
    pub(crate) home: Home,
    /// Whether the user wrote `&self`. The body then gets `&S`, and rustc refuses changes.
    pub(crate) shared: bool,
    /// The span for the state's local: the `self` of the signature.
    pub(crate) receiver: Span,
    /// Statements that bind the arguments.
    pub(crate) bindings: TokenStream,
    /// The arguments' names, which a stub uses.
    pub(crate) names: Vec<Ident>,
    pub(crate) output: &'a Type,
    pub(crate) block: &'a Block,
    /// Whether its values are probed.
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
        // The user's braces, so that "expected `X`, found `()`" points at them.
        let braced =
            quote_spanned!(self.block.brace_token.span.join()=> { #pin #bindings #prelude #statements });
        quote!(#slot #private::block(async move #braced))
    }

    /// Replaces a body in which mistakes were found.
    pub(crate) fn stub(&self) -> TokenStream {
        let (private, bindings, names) = (self.private, &self.bindings, &self.names);
        let output = self.output;
        match has_impl_trait(output) {
            true => quote!(#private::never()),
            false => {
                quote!(#private::block(async move {
                    #[allow(unused_mut)] #bindings let _ = (#(&#names,)*); #private::never::<#output>()
                }))
            }
        }
    }
}

/// Rewrites the async blocks in a plain method or function, without changing its `self`, and probes its
/// values. `receiver` is the `self` of a method of the workflow's state: async blocks take `self` from its
/// slot.
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

/// Whether the tokens use `self` as a value.
fn uses_self(tokens: &impl ToTokens) -> bool {
    contains_word(tokens.to_token_stream(), &["self"])
}

/// Makes an identifier at the user's position `at`, with the hygiene of the receiver. rustc then prints its
/// name, and all such identifiers mean the same local, even if the user's tokens come from a macro.
fn local(name: &str, at: Span, receiver: Span) -> Ident {
    Ident::new(name, at.resolved_at(receiver))
}

/// The name of `self` in a rewritten body.
const ME: &str = "self_";
/// The local that holds the state. rustc prints this name in its E0499 for a reference that is kept across an
/// await. We cannot add a note there, so the name says where help is: AB0314.
const STATE: &str = "workflow_state_see_ab0314";

/// The statements that take the state from `__abide_slot`, at the start of a body.
///
/// `let _ = &self_` reads it, so that rustc does not report it as unused in a body that only assigns to it
/// after its last await.
fn take_state(private: &Private, at: Span, state: &Taken) -> TokenStream {
    let Taken { receiver, shared, slot_used, awaits } = *state;
    let (state, me) = (local(STATE, at, receiver), local(ME, at, receiver));
    // The whole pattern needs this span: rustc prints no name if the pattern contains a token from an
    // expansion.
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
    /// Takes `&self`.
    shared: bool,
    /// Whether the body names the slot.
    slot_used: bool,
    /// Whether it hands the state over at an await.
    awaits: bool,
}

/// Tells rustc the type of an async block. rustc would infer a wrong one from its `?`s and its last
/// expression.
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
