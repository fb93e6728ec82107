//! The tokens of a probe: the `match` around the expression, the cells at the top of the body, and the
//! questions after its end. They have the user's spans, so that rustc underlines the user's expression.

use super::probe::Entered;
use super::rewrite::Rewriter;
use super::tail::{self, Tail};
use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::visit_mut::VisitMut;
use syn::{Expr, Stmt};

/// A probe in the body being walked.
pub(super) struct Found {
    cell: Ident,
    sink: Option<Ident>,
    question: &'static str,
    start: Span,
    end: Span,
}

impl Rewriter<'_> {
    /// Puts the `match` around `expr`, which has already been rewritten.
    pub(super) fn wrap(&mut self, question: &'static str, entered: Entered, expr: &mut Expr) {
        let (start, end) = self.of_the_user(entered.spans);
        let index = self.probes.found.len();
        let cell = format_ident!("__abide_probe_{index}", span = start);
        let sink = entered.sink.map(|mut place| {
            self.visit_expr_mut(&mut place);
            (format_ident!("__abide_sink_{index}", span = start), place)
        });
        let sinks = sink.as_ref().map(|(name, place)| quote!(#name = __abide_probe::of(&#place);));
        // The spans reach from the expression's start to its end, as if the user had written the `match`.
        // rustc's own messages about the `match` or its value, such as "not an iterator", then underline the
        // expression. A tuple makes this possible.
        let keyword = Ident::new("match", start);
        let mut field = Literal::usize_unsuffixed(0);
        field.set_span(end);
        let value = quote_spanned!(start=> abide_value);
        let arm = quote! {
            #[allow(unreachable_code)]
            #value => {
                if false { __abide_probe::never(); #cell = __abide_probe::of(&#value.#field); #sinks }
                #value.#field
            }
        };
        let mut arms = Group::new(Delimiter::Brace, arm);
        arms.set_span(end);
        let probed = quote!(#keyword (#expr,) #arms);
        *expr = Expr::Verbatim(if entered.bare { probed } else { self.whole(entered.spans, &probed) });
        self.probes.found.push(Found { cell, sink: sink.map(|(name, _)| name), question, start, end });
    }

    /// `(tokens,).0`: puts a `match` or block of ours in the place of an expression from `start` to `end`.
    /// Without the tuple, it would end a statement that begins with it. rustc's messages about the value,
    /// such as "unused `Result` that must be used", underline the user's expression. Parentheses alone have
    /// one span, and rustc would report them as unnecessary.
    pub(super) fn whole(&self, ends: Ends, tokens: &TokenStream) -> TokenStream {
        let (start, end) = self.of_the_user(ends);
        let mut tuple = Group::new(Delimiter::Parenthesis, quote!(#tokens,));
        tuple.set_span(start);
        let mut field = Literal::usize_unsuffixed(0);
        field.set_span(end);
        let dot = quote_spanned!(end=> .);
        quote!(#tuple #dot #field)
    }

    /// Uses the hygiene of the user's body, so that rustc does not mention the attribute's expansion.
    fn of_the_user(&self, (start, end): Ends) -> Ends {
        let hygiene = self.probes.hygiene;
        (start.resolved_at(hygiene), end.resolved_at(hygiene))
    }

    /// The statements of a rewritten body, with its cells before and its checks after them.
    pub(super) fn checked(&mut self, ends: &Tail, statements: &[Stmt]) -> TokenStream {
        let found = std::mem::take(&mut self.probes.found);
        if found.is_empty() {
            return quote!(#(#statements)*);
        }
        let private = self.private;
        let cells = found.iter().flat_map(|probe| std::iter::once(&probe.cell).chain(&probe.sink));
        let checks: TokenStream = found.iter().map(check).collect();
        let open = quote!(use #private::probe as __abide_probe; let (#(#cells,)*););
        tail::with_checks(
            ends,
            &open,
            statements,
            &quote!(#[allow(unused_imports)] use __abide_probe::questions::*; #checks),
        )
    }
}

/// `ordered(cell.order())`: path and argument have the span of the probed expression, so that rustc
/// underlines it once.
fn check(probe: &Found) -> TokenStream {
    let Found { cell, sink, question, start, end } = probe;
    let refuse = match *question {
        "order" => Ident::new("ordered", *end),
        _ => Ident::new("timeless", *end),
    };
    let module = Ident::new("__abide_probe", *start);
    let colons = quote_spanned!(*start=> ::);
    let question = Ident::new(question, *end);
    let none = quote_spanned!(*end=> ());
    let seen = match sink {
        Some(sink) => quote_spanned!(*start=> #sink.sorts().takes(#cell)),
        None => cell.to_token_stream(),
    };
    let dot = quote_spanned!(*end=> .);
    let argument = quote!(#seen #dot #question #none);
    let call = {
        let mut group = Group::new(Delimiter::Parenthesis, argument);
        group.set_span(*end);
        group
    };
    quote!(#module #colons #refuse #call;)
}

/// The first and the last token of an expression, as written by the user.
pub(crate) type Ends = (Span, Span);

/// The ends of an expression that is not rewritten yet.
pub(crate) fn ends(expr: &impl ToTokens) -> Ends {
    let mut spans = expr.to_token_stream().into_iter().map(|token| match token {
        TokenTree::Group(group) => (group.span_open(), group.span_close()),
        other => (other.span(), other.span()),
    });
    let (start, first_end) = spans.next().unwrap_or((Span::call_site(), Span::call_site()));
    (start, spans.last().map_or(first_end, |(_, end)| end))
}
