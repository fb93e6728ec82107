//! Where the order of a hash map or set is not observable: method chains that sort, count or compare their
//! items in a way that does not depend on the order. The lexical rules and the value probes share this, and
//! refuse all other chains.
//!
//! A chain is read from its outermost call inwards. In `m.keys().map(f).collect::<BTreeSet<_>>()`, the
//! outermost call [`forgets`] the order, and `map` [`passes`] the items on, so that at `m.keys()` the order
//! is [`forgotten`]:
//!
//! ```text
//! let mut free = false;
//! while let Expr::MethodCall(call) = expr { free = order::forgotten(call, free, sorted); expr = &call.receiver; .. }
//! ```
//! It uses names only, as a macro must. It does not detect a closure with effects, equal keys made by a
//! `map`, or a sort by a key with ties.

use syn::{
    AngleBracketedGenericArguments, Expr, ExprMethodCall, GenericArgument, Local, Pat, PathArguments, Stmt,
    Type,
};

/// Methods that return an iterator of a hash map or set.
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

/// Collections that sort their items, or whose own order is refused where it is observable.
const SORTED: &[&str] = &["BTreeMap", "BTreeSet", "BinaryHeap", "HashMap", "HashSet"];

/// Methods whose result does not depend on the order.
const ANSWERS: &[&str] = &["count", "len", "is_empty", "all", "any", "min", "max"];

/// Methods that pass their items on, one by one.
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

/// Number types whose sum is the same in every order, even if it overflows. Signed integers and floats are
/// not.
const UNSIGNED: &[&str] = &["u8", "u16", "u32", "u64", "u128", "usize"];

/// Whether `call` iterates over its receiver, if that is a hash map or set.
pub(crate) fn iterates(call: &ExprMethodCall) -> bool {
    ITERATING.iter().any(|(name, count)| call.method == name && call.args.len() == *count)
}

/// Whether the order of the items from the receiver of `call` is not observable. `outside`: the same for
/// `call` itself. `expected`: the written type of the value of `call`, if there is one.
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

/// Whether `call` passes its receiver's items on, one by one.
pub(crate) fn passes(call: &ExprMethodCall) -> bool {
    ADAPTERS.iter().any(|name| call.method == name)
}

/// Whether a collection of this type does not keep the order of insertion: `BTreeMap<..>`, `HashSet<_>`.
pub(crate) fn is_sorted(ty: &Type) -> bool {
    last_word(ty).is_some_and(|word| SORTED.contains(&word.as_str()))
}

/// Whether `func` is `BTreeMap::from_iter` or similar, for which the order of the argument does not matter.
pub(crate) fn is_sorting_fn(func: &Expr) -> bool {
    let Expr::Path(path) = func else { return false };
    let words: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    matches!(words.as_slice(), [.., ty, name] if name == "from_iter" && SORTED.contains(&ty.as_str()))
}

/// Whether `next` sorts the variable of `local`: `let mut v: Vec<_> = m.into_iter().collect(); v.sort();`.
pub(crate) fn sorted_by(local: &Local, next: Option<&Stmt>) -> bool {
    let pat = match &local.pat {
        Pat::Type(typed) => &*typed.pat,
        pat => pat,
    };
    let (Pat::Ident(bound), Some(Stmt::Expr(Expr::MethodCall(call), _))) = (pat, next) else { return false };
    let Expr::Path(receiver) = &*call.receiver else { return false };
    receiver.path.is_ident(&bound.ident) && call.method.to_string().starts_with("sort")
}

/// The written type of the variable of `local`.
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

/// The last segment of a path, without its arguments.
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

    /// Whether the order is forgotten at `m.keys()`, the innermost call of the chain.
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
