//! Positions and texts of the user's source: `file:line:column`, the text of an expression, and its canonical
//! form.

use crate::krate::Private;
use proc_macro2::{Delimiter, LineColumn, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

/// The most characters of a site's text. The rest becomes an ellipsis.
const MAX_CHARS: usize = 120;

/// `Site { .. }`: the place and text of an awaited expression.
pub(crate) fn site(private: &Private, tokens: &impl ToTokens, at: Span) -> TokenStream {
    let stream = tokens.to_token_stream();
    let file = at.file();
    let start = at.start();
    let (line, column) = (to_u32(start.line), to_u32(start.column + 1));
    let text = shorten(&source(stream));
    quote!(#private::Site { file: #file, line: #line, column: #column, text: #text })
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// At most [`MAX_CHARS`], then an ellipsis.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        None => text.to_owned(),
        Some((cut, _)) => format!("{}…", &text[..cut]),
    }
}

/// The text as the user wrote it, with each line break and its indentation replaced by one blank. rustc does
/// not join spans on stable, so the text is built token by token, with a blank where the positions show a
/// gap.
pub(crate) fn source(stream: TokenStream) -> String {
    let mut out = Text { text: String::new(), end: None };
    out.stream(stream);
    out.text
}

/// The canonical form: tokens with one blank between each two, for any formatting.
pub(crate) fn canonical(tokens: &impl ToTokens) -> String {
    let mut words = Vec::new();
    flatten(tokens.to_token_stream(), &mut words);
    words.join(" ")
}

fn flatten(stream: TokenStream, words: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = delimiters(group.delimiter());
                words.extend((!open.is_empty()).then(|| open.to_owned()));
                flatten(group.stream(), words);
                words.extend((!close.is_empty()).then(|| close.to_owned()));
            }
            other => words.push(other.to_string()),
        }
    }
}

fn delimiters(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

struct Text {
    text: String,
    end: Option<LineColumn>,
}

impl Text {
    fn stream(&mut self, stream: TokenStream) {
        for token in stream {
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = delimiters(group.delimiter());
                    // A group that syn creates again has one span for both ends. A delimiter is one character
                    // wide.
                    let (start, end) = (group.span_open().start(), group.span_close().end());
                    self.word(open, start, LineColumn { column: start.column + 1, ..start });
                    self.stream(group.stream());
                    self.word(close, LineColumn { column: end.column.saturating_sub(1), ..end }, end);
                }
                other => self.word(&other.to_string(), other.span().start(), other.span().end()),
            }
        }
    }

    fn word(&mut self, word: &str, start: LineColumn, end: LineColumn) {
        if word.is_empty() {
            return;
        }
        if self.end.is_some_and(|end| end != start) {
            self.text.push(' ');
        }
        self.text.push_str(word);
        self.end = Some(end);
    }
}
