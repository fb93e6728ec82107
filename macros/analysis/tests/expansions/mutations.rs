//! Workflows and activities of the examples and of the compile tests, with a few tokens changed, as an editor
//! sees code while it is written. For every change, each attribute returns valid Rust or reports an error
//! with a code.

use super::cases::{cases, on_rustcs_stack};
use super::total::ATTRIBUTES;
use super::tree::{Change, change, count, grow, tokens};
use super::{expand_tokens, tree};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use proptest::prelude::*;
use quote::ToTokens;
use std::fmt;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// An item and the arguments of its attribute.
#[derive(Clone)]
pub(super) struct Marked {
    which: String,
    args: TokenStream,
    item: TokenStream,
}

/// Every item with an attribute of ours, in all files of these folders.
fn corpus() -> Vec<Marked> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["ui-tests/pass", "ui-tests/fail", "examples"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let mut found = Found(Vec::new());
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a source file");
        found.visit_file(&syn::parse_file(&text).expect("Rust"));
    }
    assert!(found.0.len() > 200, "only {} items found", found.0.len());
    found.0
}

pub(super) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

struct Found(Vec<Marked>);

impl Found {
    fn take(&mut self, attrs: &mut Vec<syn::Attribute>) -> Option<(String, TokenStream)> {
        let ours = |attr: &syn::Attribute| attr.path().segments.last().map(|last| last.ident.to_string());
        let at = attrs.iter().position(|attr| ours(attr).is_some_and(|name| ATTRIBUTES.contains(&&*name)))?;
        let attr = attrs.remove(at);
        let args = attr.meta.require_list().map_or_else(|_| TokenStream::new(), |list| list.tokens.clone());
        Some((ours(&attr).expect("it has a name"), args))
    }

    fn keep(&mut self, marked: Option<(String, TokenStream)>, item: impl ToTokens) {
        let marked = marked.map(|(which, args)| Marked { which, args, item: item.to_token_stream() });
        self.0.extend(marked);
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let mut bare = item.clone();
        let marked = match &mut bare {
            syn::Item::Fn(item) => self.take(&mut item.attrs),
            syn::Item::Impl(item) => self.take(&mut item.attrs),
            syn::Item::Mod(item) => self.take(&mut item.attrs),
            syn::Item::Trait(item) => self.take(&mut item.attrs),
            _ => None,
        };
        self.keep(marked, bare);
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        let mut bare = method.clone();
        let marked = self.take(&mut bare.attrs);
        self.keep(marked, bare);
        visit::visit_impl_item_fn(self, method);
    }
}

/// The pieces that replace a token or are inserted beside one.
const PIECES: &str = r###"r#async  r#await  r#type  r#self_  ünïcode  _  __abide_slot  self_  workflow_state_see_ab0314  self  Self  super  crate
    $crate  async  await  .await  unsafe  const  static  move  dyn  impl  fn  mut  ref  where  yield  union  auto
    raw  gen  try  macro_rules  extern "C"  'a  'static  '_  'r#await  0x_ff_u8  1e999  -1  1.0f32  1..  x.0.1  b"x"
    c"x"  r#"raw"#  "x"suffix  '\u{1F600}'  99999999999999999999999999999999999999999999  <T>  <'a, const N: usize>
    for<'a>  ::<T>  ::  ->  =>  ..=  ...  ?  !  @  #  $x  &&  ||  =  ;  ,  :  #[cfg(any())]  #[cfg_attr(x, run)]
    #[run]  #[signal]  #[query(name = "x")]  #[update]  #[workflow]  #[activity]  #[workflow::helper]
    #[workflow::helper(state)]  #[workflow::deterministic]  #[workflow::deterministic("why")]  #![allow(x)]
    #[doc = "x"]  |x| x.await  async move { self.x }  async || { x.await }  loop {}  break 'a x  return  continue
    'a: {}  {}  ()  []  (x,)  workflow::select! { x = a() => b().await, else => {} }  workflow::select! {}
    workflow::select! { x = }  workflow::until!(self.x)  workflow::until!()  workflow::join!(a(), self.b())
    workflow::try_join!()  workflow::allow!("why", self.x.await)  workflow::allow!()  format!("{x}", self.x)
    matches!(x, Some(_))  macro_rules! m { ($x:expr) => { $x.await } }  m!(x.await)  if let Some(x) = y && z
    let Some(x) = y else {}  match x { y if y.await => 1, _ => 2 }  std::time::SystemTime::now()
    for (k, v) in self.map.iter() {}  use std::fs::*;  mod m { pub fn f() {} }  impl Trait for X {}
    struct S { x: u32 }  fn f(self) {}  self: &mut Self  self: std::rc::Rc<Self>  mut self  &'a self
    tx: &mut sqlx::PgConnection  _: u32  (a, b): (u32, u32)  Point { x, .. }: Point  impl Fn(u32) -> u32
    [u8; { self.x }]  <X as Y<'_>>::Z  !  HashSet<u32>  extern crate x;  type X = u32;  const X: u32 = f().await;
    &raw const x  *x  _ = x"###;

/// The pieces of a text, separated by two blanks or a line break.
pub(super) fn pieces(text: &str) -> Vec<String> {
    text.split("  ")
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
        .map(str::to_owned)
        .collect()
}

fn delimiter() -> impl Strategy<Value = Delimiter> {
    use Delimiter::{Brace, Bracket, None, Parenthesis};
    proptest::sample::select(vec![Parenthesis, Brace, Bracket, None])
}

/// A place, the change there, and whether the change is undone if it leaves no item. The parser stops at most
/// changes, and the code after it should be reached too.
type Step = (usize, Change, bool);

fn changes() -> impl Strategy<Value = Vec<Step>> {
    let piece = || proptest::sample::select(pieces(PIECES));
    let change = prop_oneof![
        3 => Just(Change::Delete),
        2 => Just(Change::Double),
        2 => Just(Change::SwapWithNext),
        2 => any::<usize>().prop_map(Change::CopyFrom),
        4 => piece().prop_map(Change::Replace),
        4 => piece().prop_map(Change::Insert),
        1 => delimiter().prop_map(Change::Delimit),
        1 => (delimiter(), 1_usize..6).prop_map(|(delimiter, depth)| Change::Wrap(delimiter, depth)),
    ];
    proptest::collection::vec((any::<usize>(), change, proptest::bool::weighted(0.95)), 0..12)
}

/// A changed item, printed as Rust, so that a failure can become a test of its own.
#[derive(Clone)]
struct Case(Marked);

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Marked { which, args, item } = &self.0;
        write!(f, "expand(\"{which}\", r##\"{args}\"##, r##\"{item}\"##)")
    }
}

fn changed(of: &TokenStream, steps: &[Step], good: impl Fn(&TokenStream) -> bool) -> TokenStream {
    let mut now = of.clone();
    for (place, one, only_good) in steps {
        let mut nodes = grow(now.clone());
        change(&mut nodes, *place, one);
        let next = tokens(nodes);
        if !only_good || good(&next) {
            now = next;
        }
    }
    now
}

fn mutated(corpus: Vec<Marked>) -> impl Strategy<Value = Case> {
    let which = prop_oneof![3 => Just(None), 1 => proptest::sample::select(ATTRIBUTES).prop_map(Some)];
    let at = 0..corpus.len();
    (at, which, changes(), changes()).prop_map(move |(at, which, in_args, in_item)| {
        let Marked { which: own, args, item } = &corpus[at];
        // There are few arguments, so they are changed rarely, and the item nearly always.
        let in_args = if in_args.len() < 9 { &[][..] } else { &in_args[..] };
        let which = which.map_or_else(|| own.clone(), str::to_owned);
        let any = |_: &TokenStream| true;
        let item_still = |tokens: &TokenStream| syn::parse2::<syn::Item>(tokens.clone()).is_ok();
        Case(Marked { which, args: changed(args, in_args, any), item: changed(item, &in_item, item_still) })
    })
}

/// The texts of all `compile_error!`s.
pub(super) fn told(expanded: TokenStream, texts: &mut Vec<String>) {
    let all: Vec<TokenTree> = expanded.into_iter().collect();
    for (at, token) in all.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) if ident == "compile_error" => {
                texts.extend(all.get(at + 2).map(ToString::to_string));
            }
            TokenTree::Group(group) => told(group.stream(), texts),
            _ => {}
        }
    }
}

/// Checks every expansion: it is valid Rust, or it reports an error with a code.
pub(super) fn check(expanded: TokenStream) -> Result<(), TestCaseError> {
    let mut texts = Vec::new();
    told(expanded.clone(), &mut texts);
    for text in &texts {
        prop_assert!(text.contains("note: AB0"), "without a code: {}", text);
    }
    if texts.is_empty() {
        let parsed = syn::parse2::<syn::File>(expanded.clone());
        prop_assert!(
            parsed.is_ok(),
            "{}: {}",
            parsed.err().map(|e| e.to_string()).unwrap_or_default(),
            expanded
        );
    }
    Ok(())
}

#[test]
fn changed_workflows_and_activities() {
    let run = on_rustcs_stack(|| {
        let mut runner = proptest::test_runner::TestRunner::new(cases(1_500));
        let run = runner.run(&mutated(corpus()), |Case(Marked { which, args, item })| {
            // The query that tools make on a file.
            if let Ok(found) = abide_analysis::exceptions(&item.to_string()) {
                prop_assert!(found.iter().all(|one| one.line > 0 && one.column > 0));
            }
            check(expand_tokens(&which, args, item))
        });
        run.map_err(|error| error.to_string())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn any_path_is_forbidden_or_not(path in "(::|[a-zr#]{0,4}|std|fs|time|[*!{}, ]|\\PC){0,12}") {
        if let Some(found) = abide_analysis::forbidden(&path) {
            prop_assert!(found.code.starts_with("AB01") && found.path == path);
        }
    }
}

#[test]
fn the_places_of_changes_reach_every_token() {
    let mut nodes = grow("a (b [c] d) e".parse().expect("tokens"));
    assert_eq!(count(&nodes), 7);
    change(&mut nodes, 3, &Change::Replace("x y".to_owned()));
    change(&mut nodes, 0, &Change::Delete);
    change(&mut nodes, 0, &Change::Delimit(Delimiter::Brace));
    assert_eq!(tokens(nodes).to_string(), "{ b x y d } e");
    let mut nodes: Vec<tree::Node> = Vec::new();
    change(&mut nodes, 3, &Change::Double);
    assert_eq!(count(&nodes), 0);
}
