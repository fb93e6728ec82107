//! Totality: for any tokens, the macros return tokens and never panic.

use super::cases::cases;
use super::expand_tokens;
use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use proptest::prelude::*;

pub(super) const ATTRIBUTES: &[&str] =
    &["activity", "workflow", "helper", "deterministic", "run", "signal", "query"];

const WORDS: &[&str] = &[
    "async",
    "await",
    "fn",
    "impl",
    "self",
    "Self",
    "mut",
    "let",
    "match",
    "if",
    "else",
    "loop",
    "for",
    "in",
    "while",
    "return",
    "break",
    "move",
    "pub",
    "mod",
    "struct",
    "enum",
    "where",
    "dyn",
    "const",
    "crate",
    "as",
    "select",
    "until",
    "join",
    "try_join",
    "workflow",
    "run",
    "signal",
    "query",
    "name",
    "retry",
    "x",
    "T",
    "_",
    "trait",
    "state",
    "helper",
    "deterministic",
    "allow",
];

pub(super) fn token() -> impl Strategy<Value = TokenTree> {
    let ident = proptest::sample::select(WORDS).prop_map(|word| Ident::new(word, Span::call_site()).into());
    let punct = (proptest::sample::select(b"=<>!~?+-*/^%&|@.,;:#$".as_slice()), any::<bool>()).prop_map(
        |(c, joint)| Punct::new(char::from(c), if joint { Spacing::Joint } else { Spacing::Alone }).into(),
    );
    let literal = prop_oneof![
        any::<u32>().prop_map(Literal::u32_unsuffixed),
        "[a-z0-9 ]{0,6}".prop_map(|text| Literal::string(&text)),
    ]
    .prop_map(TokenTree::from);
    let leaf = prop_oneof![4 => ident, 3 => punct, 1 => literal];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let delimiter = prop_oneof![
            Just(Delimiter::Parenthesis),
            Just(Delimiter::Brace),
            Just(Delimiter::Bracket),
            Just(Delimiter::None)
        ];
        (delimiter, proptest::collection::vec(inner, 0..8))
            .prop_map(|(delimiter, tokens)| Group::new(delimiter, tokens.into_iter().collect()).into())
    })
}

pub(super) fn stream(most: usize) -> impl Strategy<Value = TokenStream> {
    proptest::collection::vec(token(), 0..most).prop_map(|tokens| tokens.into_iter().collect())
}

/// Pieces that parse, combined at random: they reach deeper than random tokens.
const PIECES: &[&str] = &[
    "self.items.push(a(self.n).await?);",
    "let x = async move { self.n += 1; b().await };",
    "workflow::select! { Some(x) = a(), if self.n > 0 => { self.b().await } else => {} }",
    "workflow::until!(self.done).await;",
    "let (a, b) = workflow::try_join!(a(), self.b())?;",
    "match self.x { Some(n) if b().await => n, _ => return 1 };",
    "'outer: loop { for i in &self.items { if i { break 'outer } else { continue } } }",
    "json!({ \"x\": self.x });",
    "let f = move |k| async move { self.n + k };",
    "fn inner(self) { self.await }",
    "format!(\"{}\", self.x, y = a().await);",
    "self.name += &a().await;",
    "if let Some(x) = self.x && x.await { y } else { z.await };",
    "unsafe { *self.p = a().await };",
    "while let Some(x) = self.next().await {}",
    "let n = workflow::allow!(\"why\", self.x.await);",
    "pick! { x = self.a() => self.b().await, _ = b() => 1 }",
    "let _ = charge(self.n);",
    "workflow::assume_deterministic(\"\", x).await;",
    "for (k, v) in &self.map { total += v.iter().map(|x| clock()).sum() }",
    "let mut v: Vec<_> = self.map.keys().collect(); v.sort();",
    "self.list.extend(self.map.values().zip(other(|x| x.iter())));",
    "let t = now()?.elapsed(); let f = |m| { for x in m { return x.keys().next() } };",
    "let a = [f::<{ g() }>(); g()];",
    "spawn(async { for x in self.map.drain() { x.iter() } self.map.keys().min() });",
    "match now() {}",
    "loop { break now() }",
    "let m = self.map.into_iter().collect::<BTreeMap<_, _>>();",
];

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_tokens(which in proptest::sample::select(ATTRIBUTES), args in stream(8), item in stream(24)) {
        expand_tokens(which, args, item);
    }

    #[test]
    fn any_signature_and_body(
        which in proptest::sample::select(ATTRIBUTES),
        args in stream(6),
        inputs in stream(10),
        output in stream(4),
        body in proptest::collection::vec(proptest::sample::select(PIECES), 0..6),
        method in any::<bool>(),
    ) {
        let body: TokenStream = body.concat().parse().expect("the pieces are tokens");
        let item = match method {
            true => quote::quote!(impl Order {
                #[run] async fn run(&mut self, #inputs) -> #output { #body }
                #[signal] async fn s(&mut self) { #body }
                fn p(&mut self) { #body }
            }),
            false => quote::quote!(async fn f(#inputs) -> #output { #body }),
        };
        expand_tokens(which, args, item);
    }

    #[test]
    fn bodies_stay_rust(body in proptest::collection::vec(proptest::sample::select(PIECES), 0..6)) {
        let body: TokenStream = body.concat().parse().expect("the pieces are tokens");
        let item = quote::quote!(impl Order {
            #[run] async fn run(&mut self, n: u32) -> u32 { #body }
            async fn h(&self) { #body }
        });
        let expanded = expand_tokens("workflow", TokenStream::new(), item);
        prop_assert!(syn::parse2::<syn::File>(expanded).is_ok());
    }
}
