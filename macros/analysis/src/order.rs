//! Where the order of a hash map or set does not show: chains of method calls that sort, count or compare what they are
//! given, whatever the order. Shared by the lexical rules and the value probes, which refuse the other chains.
//!
//! A chain is read from its outermost call inwards. Of `m.keys().map(f).collect::<BTreeSet<_>>()` the outermost call
//! [`forgets`] the order, `map` [`passes`] the items on, so that at `m.keys()` the order is [`forgotten`]:
//!
//! ```text
//! let mut free = false;
//! while let Expr::MethodCall(call) = expr { free = order::forgotten(call, free, sorted); expr = &call.receiver; .. }
//! ```
//! It goes by names, like the rest of what a macro can do. Not seen: a closure with effects, equal keys that a `map`
//! made, a sort by a key that leaves ties.

use syn::{
    AngleBracketedGenericArguments, Expr, ExprMethodCall, GenericArgument, Local, Pat, PathArguments, Stmt,
    Type,
};

/// Methods that give an iterator of a hash map or set, where they are called on one.
const ITERATING: &[(&str, usize)] = &[
    ("iter", 0),
    ("iter_mut", 0),
    ("into_iter", 0),
    ("keys", 0),
    ("values", 0),
    ("values_mut", 0),
    ("into_keys", 0),
    ("into_values", 0),
    ("drain", 0),
    ("extract_if", 1),
    ("union", 1),
    ("intersection", 1),
    ("difference", 1),
    ("symmetric_difference", 1),
];

/// Collections that sort for themselves, or whose own order is refused where it would show.
const SORTED: &[&str] = &["BTreeMap", "BTreeSet", "BinaryHeap", "HashMap", "HashSet"];

/// Methods whose answer no order changes.
const ANSWERS: &[&str] = &["count", "len", "is_empty", "all", "any", "min", "max"];

/// Methods that hand on what they get, item by item.
const ADAPTERS: &[&str] = &[
    "iter",
    "iter_mut",
    "into_iter",
    "map",
    "filter",
    "filter_map",
    "flat_map",
    "flatten",
    "copied",
    "cloned",
    "chain",
    "fuse",
    "by_ref",
    "inspect",
];

/// Numbers whose sum is the same in every order, also where it overflows; not so signed ones and floats.
const UNSIGNED: &[&str] = &["u8", "u16", "u32", "u64", "u128", "usize"];

/// Whether `call` iterates over its receiver, if that is a hash map or set.
pub(crate) fn iterates(call: &ExprMethodCall) -> bool {
    ITERATING.iter().any(|(name, count)| call.method == name && call.args.len() == *count)
}

/// Whether the order in which the receiver of `call` gives its items shows nowhere. `outside`: the same, answered for
/// `call` itself. `expected`: the type that is written for the value of `call`, where there is one.
pub(crate) fn forgotten(call: &ExprMethodCall, outside: bool, expected: Option<&Type>) -> bool {
    forgets(call, expected) || (outside && (passes(call) || call.method == "collect"))
}

/// Whether `call` consumes its receiver's items so that their order is forgotten: `.count()`, `.any(..)`,
/// `.collect::<BTreeSet<_>>()`, `.sum::<u64>()`, itertools' `.sorted()`.
pub(crate) fn forgets(call: &ExprMethodCall, expected: Option<&Type>) -> bool {
    let name = call.method.to_string();
    let written = call.turbofish.as_ref().map(first_type);
    let ty = written.unwrap_or(expected);
    match name.as_str() {
        "collect" => ty.is_some_and(is_sorted),
        "sum" | "product" => {
            ty.is_some_and(|ty| last_word(ty).is_some_and(|word| UNSIGNED.contains(&word.as_str())))
        }
        name => ANSWERS.contains(&name) || name.starts_with("sorted"),
    }
}

/// Whether `call` hands its receiver's items on, each by itself.
pub(crate) fn passes(call: &ExprMethodCall) -> bool {
    ADAPTERS.iter().any(|name| call.method == name)
}

/// Whether a collection of this type forgets the order in which it was filled: `BTreeMap<..>`, `HashSet<_>`.
pub(crate) fn is_sorted(ty: &Type) -> bool {
    last_word(ty).is_some_and(|word| SORTED.contains(&word.as_str()))
}

/// Whether `func` is `BTreeMap::from_iter` or its like, whose argument's order is forgotten.
pub(crate) fn is_sorting_fn(func: &Expr) -> bool {
    let Expr::Path(path) = func else { return false };
    let words: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    matches!(words.as_slice(), [.., ty, name] if name == "from_iter" && SORTED.contains(&ty.as_str()))
}

/// Whether `next` sorts the variable that `local` binds: `let mut v: Vec<_> = m.into_iter().collect(); v.sort();`.
pub(crate) fn sorted_by(local: &Local, next: Option<&Stmt>) -> bool {
    let pat = match &local.pat {
        Pat::Type(typed) => &*typed.pat,
        pat => pat,
    };
    let (Pat::Ident(bound), Some(Stmt::Expr(Expr::MethodCall(call), _))) = (pat, next) else { return false };
    let Expr::Path(receiver) = &*call.receiver else { return false };
    receiver.path.is_ident(&bound.ident) && call.method.to_string().starts_with("sort")
}

/// The type that is written for what `local` binds.
pub(crate) fn written(local: &Local) -> Option<&Type> {
    match &local.pat {
        Pat::Type(typed) => Some(&typed.ty),
        _ => None,
    }
}

fn first_type(arguments: &AngleBracketedGenericArguments) -> Option<&Type> {
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The last word of a path, without its arguments.
fn last_word(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let plain = !matches!(last.arguments, PathArguments::Parenthesized(_));
    plain.then(|| last.ident.to_string())
}

#[cfg(test)]
mod tests {
    use super::{forgotten, is_sorting_fn, sorted_by, written};
    use syn::{Block, Expr, Stmt, Type};

    /// Whether the order of `m.keys()` is forgotten, the innermost call of the chain.
    fn free(chain: &str, expected: Option<&Type>) -> bool {
        let mut expr = syn::parse_str::<Expr>(chain).expect("an expression");
        let (mut outside, mut expected) = (false, expected);
        while let Expr::MethodCall(call) = expr {
            if call.method == "keys" {
                return outside;
            }
            outside = forgotten(&call, outside, expected.take());
            expr = *call.receiver;
        }
        panic!("no `keys` in {chain}");
    }

    #[test]
    fn chains() {
        for chain in [
            "m.keys().count()",
            "m.keys().map(|k| k.len()).any(|n| n > 3)",
            "m.keys().collect::<BTreeSet<_>>()",
            "m.keys().cloned().collect::<std::collections::HashMap<_, _>>().len()",
            "m.keys().copied().sum::<u32>()",
            "m.keys().sorted().next()",
            "m.keys().filter(f).max().unwrap()",
        ] {
            assert!(free(chain, None), "{chain}");
        }
        for chain in [
            "m.keys()",
            "m.keys().next()",
            "m.keys().collect::<Vec<_>>()",
            "m.keys().collect()",
            "m.keys().take(3).count()",
            "m.keys().sum::<f64>()",
            "m.keys().for_each(f)",
            "m.keys().min_by_key(f)",
            "m.keys().find(f).is_some()",
        ] {
            assert!(!free(chain, None), "{chain}");
        }
    }

    #[test]
    fn written_types() {
        let set = syn::parse_str("BTreeSet<String>").expect("a type");
        assert!(free("m.keys().cloned().collect()", Some(&set)));
        assert!(!free("m.keys().cloned().collect::<Vec<_>>()", Some(&set)));
        let list = syn::parse_str("Vec<BTreeSet<String>>").expect("a type");
        assert!(!free("m.keys().cloned().collect()", Some(&list)));
    }

    #[test]
    fn sorted_next() {
        let sorted = |block: &str| {
            let block = syn::parse_str::<Block>(block).expect("a block");
            let Some(Stmt::Local(local)) = block.stmts.first() else { panic!("a `let`") };
            assert!(written(local).is_some());
            sorted_by(local, block.stmts.get(1))
        };
        assert!(sorted("{ let mut v: Vec<_> = m.collect(); v.sort_unstable_by_key(f); }"));
        assert!(!sorted("{ let mut v: Vec<_> = m.collect(); w.sort(); }"));
        assert!(!sorted("{ let mut v: Vec<_> = m.collect(); v.push(1); v.sort(); }"));
    }

    #[test]
    fn functions() {
        let is = |path: &str| is_sorting_fn(&syn::parse_str::<Expr>(path).expect("a path"));
        assert!(is("std::collections::BTreeMap::from_iter") && is("HashSet::from_iter"));
        assert!(!is("Vec::from_iter") && !is("from_iter") && !is("BTreeMap::from"));
    }
}
