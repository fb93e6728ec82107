//! Expands a `macro_rules!` of the crate, as far as it can be read, to find how it uses its caller's tokens.
//!
//! The caller's tokens keep their spans. The macro's own tokens get the span of its name. There is no
//! expansion if a part is not supported (a fragment like `$x:stmt`, `${count(x)}`) or too long.

use crate::source::{is_punct, text};
use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Span, TokenStream, TokenTree};
use std::collections::HashMap;
use syn::Pat;
use syn::parse::{Parse, ParseStream, Parser};

/// The most tokens of arguments.
const MAX_ARGUMENTS: usize = 2_048;
/// The most tokens of an expansion.
const MAX_EXPANSION: usize = 16_384;

/// Expands the arguments with the first rule that matches them.
pub(super) fn expand(rules: TokenStream, arguments: &TokenStream, at: Span) -> Option<TokenStream> {
    if size(arguments) > MAX_ARGUMENTS {
        return None;
    }
    let given: Vec<TokenTree> = arguments.clone().into_iter().collect();
    for Rule { matcher, transcriber } in self::rules(rules) {
        let parts = parts(matcher)?;
        if let Some((bound, used)) = matched(&parts, &given)
            && used == given.len()
        {
            return Output { at, left: MAX_EXPANSION }.transcribe(transcriber, &bound);
        }
    }
    None
}

/// `(matcher) => {transcriber};`
pub(super) struct Rule {
    pub(super) matcher: TokenStream,
    pub(super) transcriber: TokenStream,
}

/// The rules of a `macro_rules!`, in order.
pub(super) fn rules(body: TokenStream) -> Vec<Rule> {
    let (mut found, mut matcher) = (Vec::new(), TokenStream::new());
    let mut body = body.into_iter().peekable();
    while let Some(token) = body.next() {
        match token {
            TokenTree::Group(group) => matcher = group.stream(),
            token if is_punct(&token, '=') && body.peek().is_some_and(|next| is_punct(next, '>')) => {
                body.next();
                if let Some(TokenTree::Group(transcriber)) = body.next() {
                    found.push(Rule {
                        matcher: std::mem::take(&mut matcher),
                        transcriber: transcriber.stream(),
                    });
                }
            }
            _ => {}
        }
    }
    found
}

/// The number of tokens, at any depth.
fn size(tokens: &TokenStream) -> usize {
    let one = |token| match token {
        TokenTree::Group(group) => 1 + size(&group.stream()),
        _ => 1,
    };
    tokens.clone().into_iter().map(one).sum()
}

/// A part of a matcher.
enum Part {
    Token(TokenTree),
    Group(Delimiter, Vec<Part>),
    Fragment { name: String, kind: String },
    Repeat { parts: Vec<Part>, repeat: Repeat },
}

/// What follows `$( .. )`.
struct Repeat {
    separator: Vec<TokenTree>,
    at_least_once: bool,
    at_most_once: bool,
}

/// The value of a name in a matcher.
#[derive(Clone)]
enum Bound {
    One(TokenStream),
    Many(Vec<Self>),
}

type Bindings = HashMap<String, Bound>;

const FRAGMENTS: &[&str] = &[
    "block",
    "expr",
    "expr_2021",
    "ident",
    "item",
    "lifetime",
    "literal",
    "meta",
    "pat",
    "pat_param",
    "path",
    "tt",
    "ty",
    "vis",
];

/// Parses a matcher. `None`: it has an unsupported part.
fn parts(tokens: TokenStream) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                parts.push(Part::Group(group.delimiter(), self::parts(group.stream())?))
            }
            token if is_punct(&token, '$') => match tokens.next()? {
                TokenTree::Ident(name) => {
                    let (colon, kind) = (tokens.next()?, tokens.next()?);
                    let kind = kind.to_string();
                    if !is_punct(&colon, ':') || !FRAGMENTS.contains(&kind.as_str()) {
                        return None;
                    }
                    parts.push(Part::Fragment { name: text(&name), kind });
                }
                TokenTree::Group(group) => {
                    let repeat = repeat(&mut tokens)?;
                    parts.push(Part::Repeat { parts: self::parts(group.stream())?, repeat });
                }
                _ => return None,
            },
            token => parts.push(Part::Token(token)),
        }
    }
    Some(parts)
}

fn repeat(tokens: &mut impl Iterator<Item = TokenTree>) -> Option<Repeat> {
    // A separator is one token of Rust, here with at most three characters: `..=`.
    let mut separator = Vec::new();
    for token in tokens.take(4) {
        let (any, some, one) = (is_punct(&token, '*'), is_punct(&token, '+'), is_punct(&token, '?'));
        if any || some || one {
            return Some(Repeat { separator, at_least_once: some, at_most_once: one });
        }
        separator.push(token);
    }
    None
}

/// The values of the names, and the number of matched tokens.
fn matched(parts: &[Part], tokens: &[TokenTree]) -> Option<(Bindings, usize)> {
    let (mut bound, mut at) = (Bindings::new(), 0);
    for part in parts {
        at += match part {
            Part::Token(wanted) => {
                let same = tokens.get(at)?.to_string() == wanted.to_string();
                same.then_some(1)?
            }
            Part::Group(delimiter, inner) => {
                let TokenTree::Group(group) = tokens.get(at)? else { return None };
                let given: Vec<TokenTree> = group.stream().into_iter().collect();
                let (more, used) = matched(inner, &given)?;
                bound.extend(more);
                (group.delimiter() == *delimiter && used == given.len()).then_some(1)?
            }
            Part::Fragment { name, kind } => {
                let (value, used) = fragment(kind, &tokens[at..])?;
                bound.insert(name.clone(), Bound::One(value));
                used
            }
            Part::Repeat { parts, repeat } => repeated(parts, repeat, &tokens[at..], &mut bound)?,
        };
    }
    Some((bound, at))
}

fn repeated(parts: &[Part], repeat: &Repeat, tokens: &[TokenTree], bound: &mut Bindings) -> Option<usize> {
    let (mut rounds, mut at): (Vec<Bindings>, _) = (Vec::new(), 0);
    while at < tokens.len() && (rounds.is_empty() || !repeat.at_most_once) {
        let mut start = at;
        if !rounds.is_empty() {
            let separator = &repeat.separator;
            let is_there = separator.iter().enumerate().all(|(index, wanted)| {
                tokens.get(at + index).is_some_and(|token| token.to_string() == wanted.to_string())
            });
            if !is_there {
                break;
            }
            start += separator.len();
        }
        match matched(parts, &tokens[start..]) {
            Some((round, used)) if start + used > at => {
                rounds.push(round);
                at = start + used;
            }
            _ => break,
        }
    }
    if repeat.at_least_once && rounds.is_empty() {
        return None;
    }
    for name in names(parts) {
        let many = rounds.iter().filter_map(|round| round.get(&name).cloned()).collect();
        bound.insert(name, Bound::Many(many));
    }
    Some(at)
}

/// The names that a matcher binds.
fn names(parts: &[Part]) -> Vec<String> {
    let of = |part: &Part| match part {
        Part::Token(_) => Vec::new(),
        Part::Fragment { name, .. } => vec![name.clone()],
        Part::Group(_, parts) | Part::Repeat { parts, .. } => names(parts),
    };
    parts.iter().flat_map(of).collect()
}

/// The tokens that `$name:kind` matches at the front, and their number.
fn fragment(kind: &str, tokens: &[TokenTree]) -> Option<(TokenStream, usize)> {
    let first = || tokens.first();
    let whole =
        |used: usize| (used <= tokens.len()).then(|| (tokens[..used].iter().cloned().collect(), used));
    let grouped = |used: usize| {
        let group = Group::new(Delimiter::None, tokens[..used].iter().cloned().collect());
        (TokenTree::Group(group).into(), used)
    };
    match kind {
        "tt" => first().and_then(|_| whole(1)),
        "ident" => matches!(first()?, TokenTree::Ident(word) if word != "_").then(|| whole(1))?,
        "lifetime" => is_punct(first()?, '\'').then(|| whole(2))?,
        "literal" => match first()? {
            TokenTree::Literal(_) => whole(1),
            TokenTree::Ident(word) if word == "true" || word == "false" => whole(1),
            sign if is_punct(sign, '-') => {
                matches!(tokens.get(1)?, TokenTree::Literal(_)).then(|| whole(2))?
            }
            _ => None,
        },
        "vis" => prefix(tokens, syn::Visibility::parse).and_then(whole),
        "expr" | "expr_2021" => prefix(tokens, syn::Expr::parse).map(grouped),
        "ty" => prefix(tokens, syn::Type::parse).map(grouped),
        "path" => prefix(tokens, syn::Path::parse).map(grouped),
        "pat" => prefix(tokens, Pat::parse_multi_with_leading_vert).map(grouped),
        "pat_param" => prefix(tokens, Pat::parse_single).map(grouped),
        "block" => prefix(tokens, syn::Block::parse).and_then(whole),
        "item" => prefix(tokens, syn::Item::parse).and_then(whole),
        "meta" => prefix(tokens, syn::Meta::parse).and_then(whole),
        _ => None,
    }
}

/// The number of tokens that a parser consumes at the front.
fn prefix<T>(tokens: &[TokenTree], parse: fn(ParseStream<'_>) -> syn::Result<T>) -> Option<usize> {
    let counted = |input: ParseStream<'_>| {
        parse(input)?;
        Ok(input.parse::<TokenStream>()?.into_iter().count())
    };
    let rest = counted.parse2(tokens.iter().cloned().collect()).ok()?;
    tokens.len().checked_sub(rest)
}

/// An expansion being built.
struct Output {
    /// The span for the macro's own tokens.
    at: Span,
    /// The number of tokens that may still be added.
    left: usize,
}

impl Output {
    fn transcribe(&mut self, tokens: TokenStream, bound: &Bindings) -> Option<TokenStream> {
        let mut made = TokenStream::new();
        let mut tokens = tokens.into_iter();
        while let Some(token) = tokens.next() {
            match token {
                token if is_punct(&token, '$') => match tokens.next()? {
                    TokenTree::Ident(name) => match bound.get(&text(&name)) {
                        Some(Bound::One(value)) => {
                            self.take(size(value))?;
                            made.extend(value.clone());
                        }
                        Some(Bound::Many(_)) => return None,
                        None if name == "crate" => made.extend([self.copy(name.into())?]),
                        None => made.extend([self.copy(token)?, self.copy(name.into())?]),
                    },
                    TokenTree::Group(group) => {
                        let repeat = repeat(&mut tokens)?;
                        made.extend(self.rounds(&group.stream(), &repeat, bound)?);
                    }
                    _ => return None,
                },
                TokenTree::Group(group) => {
                    let mut copy = Group::new(group.delimiter(), self.transcribe(group.stream(), bound)?);
                    copy.set_span(self.at);
                    self.take(1)?;
                    made.extend([TokenTree::Group(copy)]);
                }
                token => made.extend([self.copy(token)?]),
            }
        }
        Some(made)
    }

    /// `$( .. )*`: once for each value of its names.
    fn rounds(&mut self, inner: &TokenStream, repeat: &Repeat, bound: &Bindings) -> Option<TokenStream> {
        let mut used = Vec::new();
        used_in(inner.clone(), &mut used);
        let length = used.iter().find_map(|name| match bound.get(name) {
            Some(Bound::Many(many)) => Some(many.len()),
            _ => None,
        })?;
        let mut made = TokenStream::new();
        for round in 0..length {
            let mut own = Bindings::new();
            for name in &used {
                match bound.get(name) {
                    Some(Bound::Many(many)) => own.insert(name.clone(), many.get(round)?.clone()),
                    Some(one) => own.insert(name.clone(), one.clone()),
                    None => None,
                };
            }
            if round > 0 {
                for token in &repeat.separator {
                    made.extend([self.copy(token.clone())?]);
                }
            }
            made.extend(self.transcribe(inner.clone(), &own)?);
        }
        Some(made)
    }

    fn take(&mut self, tokens: usize) -> Option<()> {
        self.left = self.left.checked_sub(tokens)?;
        Some(())
    }

    /// Copies a token of the macro. The original belongs to proc-macro2, but the caller's may be the
    /// compiler's.
    fn copy(&mut self, token: TokenTree) -> Option<TokenTree> {
        self.take(1)?;
        let mut copy = match token {
            TokenTree::Group(_) => return None,
            TokenTree::Ident(word) => match word.to_string().strip_prefix("r#") {
                Some(raw) => TokenTree::Ident(Ident::new_raw(raw, self.at)),
                None => TokenTree::Ident(Ident::new(&word.to_string(), self.at)),
            },
            TokenTree::Punct(punct) => TokenTree::Punct(Punct::new(punct.as_char(), punct.spacing())),
            TokenTree::Literal(literal) => TokenTree::Literal(literal.to_string().parse::<Literal>().ok()?),
        };
        copy.set_span(self.at);
        Some(copy)
    }
}

/// The names after a `$`.
fn used_in(tokens: TokenStream, used: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match (&token, tokens.peek()) {
            (TokenTree::Group(group), _) => used_in(group.stream(), used),
            (token, Some(TokenTree::Ident(name))) if is_punct(token, '$') => used.push(text(name)),
            _ => {}
        }
    }
}
