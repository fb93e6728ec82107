//! The arguments of `tracing`'s macros, which have a grammar of their own. `#[tracing::instrument]` has a
//! part of it.

use super::Effects;
use crate::lexical::macros::expressions;
use crate::lexical::walk::Walker;
use crate::source::{Found, Want, Written, is_punct};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Attribute, Expr, Meta};

impl Walker<'_> {
    /// The code that `#[tracing::instrument]` on a plain function evaluates when the function is called.
    pub(in crate::lexical) fn instrumented(&mut self, attrs: &[Attribute]) {
        for attr in attrs {
            let Meta::List(list) = &attr.meta else { continue };
            let path = Written::of(attr.path());
            let found = self.krate.resolve(&self.env, &path, Want::Macro);
            let is_it = |path: &[String]| path.join("::") == "tracing::instrument!";
            if !matches!(found, Some(Found::Foreign(path)) if is_it(&path)) {
                continue;
            }
            for part in split(list.tokens.clone()) {
                self.instrument_part(part);
            }
        }
    }

    fn instrument_part(&mut self, mut part: Vec<TokenTree>) {
        match part.as_slice() {
            [TokenTree::Ident(word), TokenTree::Group(fields)] if word == "fields" => {
                self.arguments_in(fields.stream());
                self.effects("#[instrument]", |effects| {
                    split(fields.stream()).into_iter().for_each(|part| effects.part(part, false));
                });
            }
            // `parent = span`, `name = "x"`
            [TokenTree::Ident(_), equals, ..] if is_punct(equals, '=') => {
                if let Ok(value) = syn::parse2::<Expr>(part.drain(2..).collect()) {
                    self.visit_expr(&value);
                    self.effects("#[instrument]", |effects| effects.visit_expr(&value));
                }
            }
            _ => {}
        }
    }
}

impl Effects<'_, '_> {
    /// The arguments of a macro of `tracing`. A block before its text may be fields.
    pub(super) fn fields(&mut self, tokens: &TokenStream, name: &str) {
        let parts = split(tokens.clone());
        let text = parts.iter().position(|part| matches!(part.first(), Some(TokenTree::Literal(_))));
        let text = text.unwrap_or(parts.len());
        match parts[..text].iter().any(|part| is_fields(part)) {
            true => {
                parts.into_iter().enumerate().for_each(|(index, part)| self.part(part, index > text));
            }
            false => self.arguments(tokens, name),
        }
    }

    pub(super) fn arguments(&mut self, tokens: &TokenStream, name: &str) {
        match expressions(tokens.clone(), name) {
            Some(arguments) => self.scoped(|effects| {
                let mut arguments_left = arguments.expressions.iter();
                arguments_left.next().into_iter().for_each(|first| effects.argument(first));
                let inner = arguments.expressions.first().is_none_or(|first| effects.reaches(first));
                arguments.pattern.iter().for_each(|pattern| effects.bind(pattern, inner));
                arguments_left.for_each(|argument| effects.argument(argument));
            }),
            None => split(tokens.clone()).into_iter().for_each(|part| self.part(part, false)),
        }
    }

    fn argument(&mut self, argument: &Expr) {
        match argument {
            // `name = value` is a field.
            Expr::Assign(field) if matches!(&*field.left, Expr::Path(_) | Expr::Field(_)) => {
                self.visit_expr(&field.right);
            }
            other => self.visit_expr(other),
        }
    }

    /// `target: "x"`, `a.b = %value`, `?value`, and `{ a = 1 }` if `code` is false.
    fn part(&mut self, mut part: Vec<TokenTree>, code: bool) {
        if let [TokenTree::Ident(_), colon, next, ..] = part.as_slice()
            && is_punct(colon, ':')
            && !is_punct(next, ':')
        {
            part.drain(..2);
        }
        if let [TokenTree::Group(group)] = part.as_slice()
            && !code
            && is_fields(&part)
        {
            return split(group.stream()).into_iter().for_each(|part| self.part(part, false));
        }
        if let Some(at) = (0..part.len()).find(|at| is_lone_equals(&part, *at))
            && part[..at].iter().all(
                |token| !matches!(token, TokenTree::Group(group) if group.delimiter() != Delimiter::Brace),
            )
        {
            part.drain(..=at);
        }
        let sigils = part.iter().take_while(|token| is_punct(token, '%') || is_punct(token, '?')).count();
        part.drain(..sigils);
        match syn::parse2::<Expr>(part.iter().cloned().collect()) {
            Ok(expr) => self.visit_expr(&expr),
            Err(_) => self.awaits_in(&part),
        }
    }

    /// `.await` in tokens that are not an expression.
    pub(super) fn awaits_in(&mut self, tokens: &[TokenTree]) {
        let mut before = None;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if word == "await" && before.is_some_and(|it| is_punct(it, '.')) => {
                    self.tell(token, "`.await`");
                }
                TokenTree::Group(group) => {
                    self.awaits_in(&group.stream().into_iter().collect::<Vec<_>>());
                }
                _ => {}
            }
            before = Some(token);
        }
    }
}

/// `{ a = 1, %b }`, not a block of code.
fn is_fields(part: &[TokenTree]) -> bool {
    let [TokenTree::Group(group)] = part else { return false };
    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
    let code = inside.iter().any(|token| is_punct(token, ';'));
    let fields = || {
        inside.iter().any(|token| is_punct(token, ','))
            || (0..inside.len()).any(|at| is_lone_equals(&inside, at))
    };
    group.delimiter() == Delimiter::Brace && !code && fields()
}

/// The parts between commas and semicolons.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match (is_punct(&token, ',') || is_punct(&token, ';'), parts.last_mut()) {
            (false, Some(part)) => part.push(token),
            _ => parts.push(Vec::new()),
        }
    }
    parts
}

/// A `=` that is not part of another operator.
fn is_lone_equals(part: &[TokenTree], at: usize) -> bool {
    const OPERATORS: &str = "=!<>+-*/%^&|";
    let is_any = |token: Option<&TokenTree>, of: &str| {
        token.is_some_and(|token| of.chars().any(|wanted| is_punct(token, wanted)))
    };
    is_any(part.get(at), "=")
        && !is_any(part.get(at + 1), "=>")
        && !(at > 0 && is_any(part.get(at - 1), OPERATORS))
}
