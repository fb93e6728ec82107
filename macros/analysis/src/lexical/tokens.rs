//! Tokens that are not expressions (`json!({ .. })`, the body of a `macro_rules!`): finds the paths in them.

use super::walk::Walker;
use crate::source::{Want, Written, is_punct, text};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::iter::Peekable;
use syn::Expr;
use syn::visit::Visit;

type Tokens = Peekable<std::vec::IntoIter<TokenTree>>;

impl Walker<'_> {
    /// Reads tokens: parts that are expressions (`"key": value`, `name = %value`) as such, and the rest token
    /// by token.
    pub(super) fn arguments_in(&mut self, stream: TokenStream) {
        let mut part = Vec::new();
        let ends = std::iter::once(None);
        for token in stream.into_iter().map(Some).chain(ends) {
            match token {
                Some(token) if !is_punct(&token, ',') && !is_punct(&token, ';') => part.push(token),
                _ => self.argument_in(std::mem::take(&mut part)),
            }
        }
    }

    fn argument_in(&mut self, part: Vec<TokenTree>) {
        let lone = |index: usize, wanted: char| {
            let same = |at: Option<&TokenTree>| at.is_some_and(|token| is_punct(token, wanted));
            same(part.get(index)) && !same(part.get(index + 1)) && !(index > 0 && same(part.get(index - 1)))
        };
        let start = (0..part.len()).find(|index| lone(*index, ':')).map_or(0, |at| at + 1);
        let value = part[start..].iter().skip_while(|token| is_punct(token, '%')).cloned().collect();
        match syn::parse2::<Expr>(value) {
            // A block may be a map: `{ "a": 1 }`.
            Ok(expr) if !matches!(expr, Expr::Block(_)) => {
                self.tokens(part[..start].iter().cloned().collect());
                self.visit_expr(&expr);
            }
            _ => match part.as_slice() {
                [.., TokenTree::Group(group)] if part.len() == start + 1 => self.arguments_in(group.stream()),
                _ => self.tokens(part.into_iter().collect()),
            },
        }
    }

    /// Reads tokens one by one: `a::b`, `f(..)`, `m!(..)`, `unsafe`.
    pub(super) fn tokens(&mut self, stream: TokenStream) {
        let mut tokens = stream.into_iter().collect::<Vec<_>>().into_iter().peekable();
        let mut before = None;
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(_) if is(&before, '.') || (is(&before, '$') && !is_crate(&token)) => {}
                TokenTree::Ident(word) if word == "unsafe" => self.foreign_word(&token),
                TokenTree::Ident(_) => {
                    let rooted = false;
                    let path = path(token.clone(), &mut tokens);
                    self.path_of_tokens(rooted, path, &mut tokens);
                }
                _ => {}
            }
            before = Some(token);
        }
    }

    fn path_of_tokens(&mut self, rooted: bool, path: Vec<TokenTree>, tokens: &mut Tokens) {
        let segments: Vec<String> = path.iter().filter_map(word).collect();
        let all: TokenStream = path.into_iter().collect();
        let written = Written { rooted, segments };
        let is_macro = tokens.peek().is_some_and(|next| is_punct(next, '!')) && {
            let mut ahead = tokens.clone();
            ahead.next();
            matches!(ahead.next(), Some(TokenTree::Group(_)))
        };
        if is_macro {
            tokens.next();
            let Some(TokenTree::Group(group)) = tokens.next() else { return };
            if let Some(call) = call(all, &group) {
                self.macro_call(&call);
            }
            return;
        }
        let called = matches!(
            tokens.peek(),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis
        );
        let single = written.segments.len() == 1;
        let bound = written.segments.first().is_some_and(|first| self.local(first).is_some());
        if single && (!called || bound) {
            return;
        }
        let found = self.krate.resolve(&self.env, &written, Want::Value);
        self.found(found, &written.to_string(), &all);
    }

    fn foreign_word(&mut self, token: &TokenTree) {
        self.hits.push(super::Hit::rule(
            token,
            crate::errors::Code::Unsafe,
            "`unsafe` in workflow code".to_owned(),
            "is outside of what abide can check",
            "do it in an `#[activity]`",
        ));
    }
}

/// The call of a macro, or tokens that may contain one.
pub(super) enum Part {
    Call(syn::Macro),
    Group(TokenStream),
}

/// The calls of macros among tokens, and the groups that are not arguments of one.
pub(super) fn calls(stream: TokenStream) -> Vec<Part> {
    let mut tokens = stream.into_iter().collect::<Vec<_>>().into_iter().peekable();
    let mut parts = Vec::new();
    while let Some(token) = tokens.next() {
        if let TokenTree::Group(group) = &token {
            parts.push(Part::Group(group.stream()));
        }
        if !matches!(token, TokenTree::Ident(_)) {
            continue;
        }
        let all = path(token, &mut tokens).into_iter().collect();
        let mut ahead = tokens.clone();
        if is(&ahead.next(), '!')
            && let Some(TokenTree::Group(group)) = ahead.next()
        {
            tokens = ahead;
            parts.extend(call(all, &group).map(Part::Call));
        }
    }
    parts
}

fn call(path: TokenStream, arguments: &proc_macro2::Group) -> Option<syn::Macro> {
    let delimiter = match arguments.delimiter() {
        Delimiter::Brace => syn::MacroDelimiter::Brace(syn::token::Brace::default()),
        Delimiter::Bracket => syn::MacroDelimiter::Bracket(syn::token::Bracket::default()),
        Delimiter::Parenthesis | Delimiter::None => syn::MacroDelimiter::Paren(syn::token::Paren::default()),
    };
    let path = syn::parse2(path).ok()?;
    Some(syn::Macro { path, bang_token: syn::token::Not::default(), delimiter, tokens: arguments.stream() })
}

fn is(token: &Option<TokenTree>, wanted: char) -> bool {
    token.as_ref().is_some_and(|token| is_punct(token, wanted))
}

fn is_crate(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(word) if word == "crate")
}

fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(text(ident)),
        _ => None,
    }
}

/// The tokens of `a::b::c`, from its first segment on.
fn path(first: TokenTree, tokens: &mut Tokens) -> Vec<TokenTree> {
    let mut path = vec![first];
    loop {
        let mut ahead = tokens.clone();
        let colons = [ahead.next(), ahead.next()];
        let joined = colons.iter().all(|token| is(token, ':'));
        match ahead.next() {
            Some(word @ TokenTree::Ident(_)) if joined => {
                path.extend(colons.into_iter().flatten());
                path.push(word);
                *tokens = ahead;
            }
            _ => return path,
        }
    }
}
