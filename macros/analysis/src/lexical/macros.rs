//! Macro calls. A rule may forbid the macro itself. Arguments are read as expressions, and a `macro_rules!`
//! of the crate is read too.

use super::expand::{self, expand};
use super::walk::Walker;
use super::{Hit, Kind, follow, named, tokens};
use crate::body::select_of;
use crate::errors::Code;
use crate::rules;
use crate::signature::contains_word;
use crate::source::{Forced, Found, Macro as MacroDef, Want, Written, is_punct};
use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::{Expr, Macro, Pat, Token};

/// Macros whose first text is a format.
const FORMATTING: &[&str] = &[
    "print",
    "println",
    "eprint",
    "eprintln",
    "format",
    "format_args",
    "write",
    "writeln",
    "panic",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "todo",
    "unreachable",
    "unimplemented",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "anyhow",
    "bail",
    "ensure",
];

/// The most macros that are examined for one call of a macro of the crate.
const MAX_EXPANDED: usize = 64;

/// Macros of std that need no `use`.
const PRELUDE: &[&str] = &["print", "println", "eprint", "eprintln", "dbg", "thread_local"];

impl Walker<'_> {
    pub(super) fn macro_call(&mut self, mac: &Macro) {
        let written = Written::of(&mac.path);
        let name = written.segments.last().cloned().unwrap_or_default();
        if name == "allow" && self.is_ours(&written, Want::Macro) {
            return;
        }
        let before = self.hits.len();
        match self.krate.resolve(&self.env, &written, Want::Macro) {
            Some(Found::Foreign(path)) => {
                self.foreign_macro(&path, &written, mac);
                if rules::is_optional(&path) {
                    self.unheard(mac, &name);
                }
            }
            Some(Found::Macro(own)) => self.own_macro(&own, mac),
            Some(_) => {}
            None if written.segments.len() == 1 && PRELUDE.contains(&name.as_str()) => {
                self.foreign_macro(&["std".to_owned(), format!("{name}!")], &written, mac);
            }
            None if is_optional(None, &written) => self.unheard(mac, &name),
            None => {}
        }
        // A foreign `select!` is replaced as a whole, so its report covers the polled expressions.
        let replaced = self.hits[before..]
            .iter()
            .any(|hit| matches!(hit.kind, Kind::Rule { code: Code::ForeignSelect, .. }));
        if !replaced {
            self.arguments(mac, &name);
        }
    }

    fn foreign_macro(&mut self, path: &[String], written: &Written, mac: &Macro) {
        let Some(rule) = rules::find(path) else { return };
        let (full, written) = (path.join("::"), format!("{written}!"));
        let full =
            if full.starts_with("std::") && written == path[1..].join("::") { written.clone() } else { full };
        self.hits.push(Hit::rule(&mac.path, rule.code, named(&full, &written), rule.reason, rule.instead));
    }

    /// Reads arguments as expressions. Other arguments are read token by token.
    fn arguments(&mut self, mac: &Macro, name: &str) {
        if FORMATTING.contains(&name) && shows_address(mac.tokens.clone()) {
            self.hits.push(Hit::rule(
                &mac.path,
                Code::Address,
                "`{:p}`".to_owned(),
                rules::ADDRESS,
                rules::OWN_ID,
            ));
        }
        if let Some(select) = select_of(mac) {
            for branch in &select.branches {
                self.visit_expr(&branch.future);
                self.within(|walker| {
                    walker.bind(&branch.pattern, crate::source::Ty::Unknown);
                    branch.condition.iter().for_each(|condition| walker.visit_expr(condition));
                    walker.visit_expr(&branch.handler);
                });
            }
            select.otherwise.iter().for_each(|otherwise| self.visit_expr(otherwise));
            return;
        }
        match expressions(mac.tokens.clone(), name) {
            Some(Arguments { expressions, pattern }) => self.within(|walker| {
                let mut expressions = expressions.iter();
                expressions.next().into_iter().for_each(|first| walker.argument(first));
                pattern.iter().for_each(|pattern| walker.bind(pattern, crate::source::Ty::Unknown));
                expressions.for_each(|expr| walker.argument(expr));
            }),
            None => self.arguments_in(mac.tokens.clone()),
        }
    }

    fn argument(&mut self, expr: &Expr) {
        match expr {
            // `name = value` in a format macro.
            Expr::Assign(named) if matches!(&*named.left, Expr::Path(_)) => self.visit_expr(&named.right),
            expr => self.visit_expr(expr),
        }
    }

    /// A `macro_rules!` of the crate. Its expansion is here, so its paths resolve here.
    fn own_macro(&mut self, own: &MacroDef, mac: &Macro) {
        let at = std::ptr::from_ref(own);
        if self.macros.contains(&at) {
            return;
        }
        // A macro declared in the body has the compiler's tokens.
        let forced = (!own.file.as_os_str().is_empty()).then(Forced::new);
        let mut inner = Walker::new(self.krate, self.env.clone(), self.followed);
        inner.macros = self.macros.clone();
        inner.macros.push(at);
        let mut hits = Vec::new();
        for transcriber in transcribers(own.rules.clone(), &mac.tokens) {
            inner.tokens(transcriber.clone());
            if !self.followed && contains_word(transcriber, &["await"]) {
                inner.hidden_await(own);
            }
            // The rule that matches is not known for certain, so the macro is forbidden only if each rule is.
            if inner.hits.is_empty() {
                hits.clear();
                break;
            }
            hits.append(&mut inner.hits);
        }
        drop(forced);
        let name = format!("{}!", own.name);
        let told = !hits.is_empty();
        for hit in hits {
            self.through_macro(own, &name, hit, mac);
        }
        self.handed_on(own, mac, told);
    }

    /// The effects of the caller's tokens if the macro passes them to a macro that may leave its arguments
    /// out. `told`: findings in the macro's own tokens have been reported.
    fn handed_on(&mut self, own: &MacroDef, mac: &Macro, told: bool) {
        let Some(name) = mac.path.segments.last().map(|last| last.ident.clone()) else { return };
        let Some(tokens) = expand(own.rules.clone(), &mac.tokens, name.span()) else { return };
        let before = self.hits.len();
        let mut left = MAX_EXPANDED;
        self.calls_in(tokens, &mut left);
        let found = self.hits.split_off(before);
        let at = name.span().start();
        self.hits.extend(found.into_iter().filter(|hit| !told || hit.start.start() != at));
    }

    /// The calls of macros that may leave their arguments out, among these tokens, and of macros that pass
    /// theirs to one.
    fn calls_in(&mut self, tokens: TokenStream, left: &mut usize) {
        for part in tokens::calls(tokens) {
            let mac = match part {
                tokens::Part::Call(mac) => mac,
                tokens::Part::Group(inner) => {
                    self.calls_in(inner, left);
                    continue;
                }
            };
            let written = Written::of(&mac.path);
            let name = written.segments.last().cloned().unwrap_or_default();
            match self.krate.resolve(&self.env, &written, Want::Macro) {
                Some(Found::Macro(own)) if *left > 0 => {
                    *left -= 1;
                    let at = mac.path.segments.last().map_or_else(Span::call_site, |last| last.ident.span());
                    let expanded = expand(own.rules.clone(), &mac.tokens, at);
                    expanded.into_iter().for_each(|tokens| self.calls_in(tokens, left));
                }
                Some(Found::Macro(_)) => {}
                found if is_optional(found.as_ref(), &written) => self.unheard(&mac, &name),
                _ => self.calls_in(mac.tokens, left),
            }
        }
    }

    fn hidden_await(&mut self, own: &MacroDef) {
        self.hits.push(Hit::rule(
            &TokenStream::new(),
            Code::HiddenAwait,
            format!("an `.await` in the expansion of `{}!`,", own.name),
            "which abide cannot guard",
            "write the `.await` where the macro is called, around it or before it",
        ));
    }

    fn through_macro(&mut self, own: &MacroDef, name: &str, hit: Hit, mac: &Macro) {
        let kind = match hit.kind {
            kind @ Kind::Rule { code: Code::HiddenAwait, .. } => kind,
            kind => {
                let line = own.line.max(hit.start.start().line);
                let inner = Hit { start: hit.start, end: hit.end, kind };
                Kind::Reaches { what: name.to_owned(), chains: follow::through(name, own, line, inner) }
            }
        };
        self.hit(&mac.path, kind);
    }
}

/// Whether the called macro may leave its arguments out.
fn is_optional(found: Option<&Found>, written: &Written) -> bool {
    match (found, written.segments.as_slice()) {
        (Some(Found::Foreign(path)), _) => rules::is_optional(path),
        // From std's prelude.
        (None, [name]) => rules::is_optional(&["std".to_owned(), format!("{name}!")]),
        _ => false,
    }
}

/// The right sides of the rules that may match these arguments. They must contain a matcher's tokens before
/// its first `$`.
fn transcribers(rules: TokenStream, arguments: &TokenStream) -> Vec<TokenStream> {
    let rules = expand::rules(rules).into_iter();
    let fitting = rules.filter(|rule| may_match(rule.matcher.clone(), arguments));
    fitting.map(|rule| rule.transcriber).collect()
}

fn may_match(matcher: TokenStream, arguments: &TokenStream) -> bool {
    let mut given = arguments.clone().into_iter();
    if matcher.is_empty() {
        return given.next().is_none();
    }
    let literal = matcher.into_iter().take_while(|token| !is_punct(token, '$'));
    literal.into_iter().all(|wanted| match (wanted, given.next()) {
        (TokenTree::Group(_), Some(TokenTree::Group(_))) => true,
        (wanted, Some(got)) => wanted.to_string() == got.to_string(),
        (_, None) => false,
    })
}

/// `{:p}`, `{x:#p}` in the first text argument.
fn shows_address(tokens: TokenStream) -> bool {
    let literal = tokens.into_iter().find_map(|token| match token {
        TokenTree::Literal(literal) => syn::parse_str::<syn::LitStr>(&literal.to_string()).ok(),
        _ => None,
    });
    let Some(text) = literal.map(|literal| literal.value().replace("{{", "").replace("}}", "")) else {
        return false;
    };
    text.split('{').skip(1).any(|part| {
        let inside = part.split('}').next().unwrap_or_default();
        inside.split_once(':').is_some_and(|(_, spec)| spec.ends_with('p') && !spec.ends_with("?p"))
    })
}

/// The arguments of a macro that takes expressions.
pub(super) struct Arguments {
    pub(super) expressions: Vec<Expr>,
    /// The pattern of `matches!`, after the first expression.
    pub(super) pattern: Option<Pat>,
}

pub(super) fn expressions(tokens: TokenStream, name: &str) -> Option<Arguments> {
    if let Ok(list) = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens.clone()) {
        return Some(Arguments { expressions: list.into_iter().collect(), pattern: None });
    }
    let repeat = |input: ParseStream<'_>| -> syn::Result<Arguments> {
        let value = input.parse()?;
        input.parse::<Token![;]>()?;
        Ok(Arguments { expressions: vec![value, input.parse()?], pattern: None })
    };
    if let Ok(arguments) = repeat.parse2(tokens.clone()) {
        return Some(arguments);
    }
    let matched = |input: ParseStream<'_>| -> syn::Result<Arguments> {
        let mut expressions = vec![input.parse()?];
        input.parse::<Token![,]>()?;
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        if input.peek(Token![if]) {
            input.parse::<Token![if]>()?;
            expressions.push(input.parse()?);
        }
        input.parse::<Option<Token![,]>>()?;
        Ok(Arguments { expressions, pattern: Some(pattern) })
    };
    (name == "matches" || name == "assert_matches").then(|| matched.parse2(tokens).ok())?
}
