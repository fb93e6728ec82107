//! Limits the nesting of code. syn parses, prints and drops by recursion, and so do we. Without a limit, a
//! long enough row of brackets ends rustc with a stack overflow, with no position in the message.
//!
//! rustc itself overflows at about 600 nested blocks. In an unoptimised macro, syn overflows at about 200
//! (measured with rustc's 8 MiB stack). The limit is rustc's limit for nested macros, and is more than people
//! write.

use crate::errors::{Code, Errors};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;

/// The most nested brackets.
const MAX_DEPTH: usize = 128;

/// The first bracket beyond [`MAX_DEPTH`]. Counts without recursion.
fn too_deep(tokens: &TokenStream) -> Option<Span> {
    let mut open = vec![tokens.clone().into_iter()];
    while let Some(innermost) = open.last_mut() {
        match innermost.next() {
            Some(TokenTree::Group(group)) if open.len() > MAX_DEPTH => return Some(group.span_open()),
            Some(TokenTree::Group(group)) => open.push(group.stream().into_iter()),
            Some(_) => {}
            None => drop(open.pop()),
        }
    }
    None
}

fn message() -> String {
    format!("code is nested more than {MAX_DEPTH} brackets deep")
}

/// `expand(args, item)` if both are within the limit. If not, only the finding, so that rustc does not read
/// them either.
pub(crate) fn shallow(
    args: TokenStream,
    item: TokenStream,
    expand: impl FnOnce(TokenStream, TokenStream) -> TokenStream,
) -> TokenStream {
    let Some(at) = too_deep(&args).or_else(|| too_deep(&item)) else { return expand(args, item) };
    let mut errors = Errors::default();
    errors.at(Code::Depth, at, &message(), "move the inner part to a function of its own");
    errors.to_token_stream()
}

/// Like [`syn::parse_file`], for a file that was not checked before.
pub(crate) fn parse_file(text: &str) -> syn::Result<syn::File> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let shebang = text.starts_with("#!") && !text[2..].trim_start().starts_with('[');
    let code = if shebang { text.find('\n').map_or("", |end| &text[end..]) } else { text };
    let tokens: TokenStream = code.parse()?;
    match too_deep(&tokens) {
        Some(at) => Err(syn::Error::new(at, message())),
        None => syn::parse2(tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_syn_reads_them() {
        for text in [
            "fn f() {}",
            "\u{feff}fn f() {}",
            "#!/bin/x\nfn f() {}",
            "#![x]\nfn f() {}",
            "#!",
            "#! [x]",
            "fn (",
        ] {
            let (ours, syns) = (parse_file(text), syn::parse_file(text));
            let items = |file: &syn::Result<syn::File>| file.as_ref().map(|file| file.items.clone()).ok();
            assert_eq!(items(&ours), items(&syns), "{text}");
        }
        let nested = |levels| format!("const X: u8 = {}1{};", "(".repeat(levels), ")".repeat(levels));
        assert!(parse_file(&nested(MAX_DEPTH)).is_ok());
        assert!(parse_file(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parse_file(&nested(100_000)).is_err());
    }
}
