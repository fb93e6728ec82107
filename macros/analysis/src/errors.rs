//! The findings of one expansion. All are reported at once, each on the user's tokens, in one form: the
//! mistake, the help, and a code that has a page.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};

/// The code of a finding. Each has a page in `docs/errors/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    /// A clock read.
    Clock,
    /// A timer that history does not record.
    Timer,
    /// A random number.
    Random,
    /// A random id, or one made from a clock.
    Id,
    /// A thread.
    Thread,
    /// A task of another runtime.
    Task,
    /// Files, sockets, processes, databases.
    Io,
    /// Environment variables, the machine, the process.
    Environment,
    /// Output to the console, repeated by every replay.
    Console,
    /// An address used as a value.
    Address,
    /// State that outlives the workflow.
    Global,
    /// Locks and channels.
    Lock,
    /// `unsafe`, foreign functions, assembly.
    Unsafe,
    /// A foreign `select!` or `join!`.
    ForeignSelect,
    /// The iteration order of a hash map or set.
    HashOrder,
    /// A workflow that an activity awaits.
    ForeignAwait,
    /// A helper that reaches one of the above.
    Reaches,
    /// An `.await` where the macro cannot rewrite it.
    HiddenAwait,
    /// An async closure.
    AsyncClosure,
    /// An effect where code is evaluated only in some builds or for some listeners.
    Unheard,
    /// A loop of a workflow that awaits and never ends.
    EndlessLoop,
    /// An attribute in the wrong place.
    Misplaced,
    /// An unknown or misspelt attribute or argument.
    Unknown,
    /// A signature that is not possible.
    Signature,
    /// A bad value of an argument.
    Value,
    /// A handler's name that is taken.
    Reserved,
    /// An await in a match guard over the state.
    GuardAwait,
    /// Brackets nested too deeply.
    Depth,
    /// `#[tracing::instrument]` on workflow code.
    Instrument,
    /// More conditions in an item than can be evaluated.
    Conditions,
    /// A retry without a wait.
    Wait,
    /// A condition of `until!` that nothing can change.
    Constant,
    /// An `.await` after a macro that awaits by itself.
    AwaitedAgain,
    /// An activity that awaits another one.
    ActivityCall,
    /// A second `#[init]`, or a signature that one cannot have.
    InitSignature,
    /// An `#[init]` with other arguments than `#[run]`.
    InitInput,
    /// An `#[init]` that does more than make the state.
    InitBody,
    /// Limits of an activity without a task queue.
    QueueOptions,
}

impl Code {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Clock => "AB0101",
            Self::Timer => "AB0102",
            Self::Random => "AB0103",
            Self::Id => "AB0104",
            Self::Thread => "AB0105",
            Self::Task => "AB0106",
            Self::Io => "AB0107",
            Self::Environment => "AB0108",
            Self::Console => "AB0109",
            Self::Address => "AB0110",
            Self::Global => "AB0111",
            Self::Lock => "AB0112",
            Self::Unsafe => "AB0113",
            Self::ForeignSelect => "AB0114",
            Self::HashOrder => "AB0115",
            Self::Reaches => "AB0116",
            Self::ForeignAwait => "AB0117",
            Self::HiddenAwait => "AB0118",
            Self::AsyncClosure => "AB0119",
            Self::Unheard => "AB0120",
            Self::EndlessLoop => "AB0151",
            Self::Misplaced => "AB0301",
            Self::Unknown => "AB0302",
            Self::Signature => "AB0303",
            Self::Value => "AB0304",
            Self::Reserved => "AB0305",
            Self::GuardAwait => "AB0306",
            Self::Depth => "AB0307",
            Self::Instrument => "AB0308",
            Self::Conditions => "AB0309",
            Self::Wait => "AB0311",
            Self::Constant => "AB0312",
            Self::AwaitedAgain => "AB0313",
            Self::ActivityCall => "AB0316",
            Self::InitSignature => "AB0317",
            Self::InitInput => "AB0318",
            Self::InitBody => "AB0319",
            Self::QueueOptions => "AB0622",
        }
    }
}

fn position(span: Span) -> (String, usize, usize) {
    let start = span.start();
    (span.file(), start.line, start.column)
}

struct Finding {
    code: Code,
    start: Span,
    end: Span,
    text: String,
}

/// The findings so far.
#[derive(Default)]
pub(crate) struct Errors(Vec<Finding>);

impl Errors {
    /// Adds a finding on `tokens`: the mistake and the help.
    pub(crate) fn add(&mut self, code: Code, tokens: &impl ToTokens, message: &str, help: &str) {
        let mut spans = tokens.to_token_stream().into_iter().map(|token| token.span());
        let start = spans.next().unwrap_or_else(Span::call_site);
        let end = spans.last().unwrap_or(start);
        self.add_at(code, start, end, message, help);
    }

    /// Adds a finding on one span.
    pub(crate) fn at(&mut self, code: Code, span: Span, message: &str, help: &str) {
        self.add_at(code, span, span, message, help);
    }

    /// Adds a finding on all tokens from `start` to `end`.
    pub(crate) fn range(&mut self, code: Code, start: Span, end: Span, message: &str, help: &str) {
        self.add_at(code, start, end, message, help);
    }

    /// Whether a finding begins in these tokens. If so, nothing else is reported on them.
    pub(crate) fn holds(&self, tokens: &impl ToTokens) -> bool {
        !self.0.is_empty() && self.begins_in(tokens.to_token_stream())
    }

    /// Whether a finding of this code begins with these tokens.
    pub(crate) fn is_at(&self, code: Code, tokens: &impl ToTokens) -> bool {
        let Some(first) = tokens.to_token_stream().into_iter().next() else { return false };
        let at = position(first.span());
        self.0.iter().any(|finding| finding.code == code && position(finding.start) == at)
    }

    fn begins_in(&self, tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| {
            let at = position(token.span());
            self.0.iter().any(|finding| position(finding.start) == at)
                || matches!(token, TokenTree::Group(group) if self.begins_in(group.stream()))
        })
    }

    fn add_at(&mut self, code: Code, start: Span, end: Span, message: &str, help: &str) {
        let name = code.text();
        let text =
            format!("{message}\nhelp: {help}\nnote: {name}, explained by `cargo abide explain {name}`");
        self.0.push(Finding { code, start, end, text });
    }

    /// Adds syn's message about tokens that it could not parse.
    pub(crate) fn syn(&mut self, code: Code, error: &syn::Error, help: &str) {
        for error in error.clone() {
            self.at(code, error.span(), &error.to_string(), help);
        }
    }

    /// The codes and first lines of the findings.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> Vec<String> {
        self.0.iter().map(|finding| format!("{}: {}", finding.code.text(), finding.text)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl ToTokens for Errors {
    /// One `compile_error!` per finding. The first and last span of the invocation are the underlined range.
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for Finding { start, end, text, .. } in &self.0 {
            let path = quote_spanned!(*start=> ::core::compile_error!);
            let body = quote_spanned!(*end=> { #text });
            tokens.extend(path);
            tokens.extend(body);
        }
    }
}
