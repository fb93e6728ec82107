//! Distributes the user's own attributes: docs to the call, `cfg` to every item, all others to the body.

use syn::Attribute;

/// A function's attributes, sorted.
pub(crate) struct Split<'a> {
    pub(crate) docs: Vec<&'a Attribute>,
    pub(crate) cfgs: Vec<&'a Attribute>,
    /// `#[tracing::instrument]`, lints.
    pub(crate) body: Vec<&'a Attribute>,
}

/// Sorts the attributes.
pub(crate) fn split(attrs: &[Attribute]) -> Split<'_> {
    let mut split = Split { docs: Vec::new(), cfgs: Vec::new(), body: Vec::new() };
    for attr in attrs {
        let path = attr.path();
        if path.is_ident("doc") || path.is_ident("deprecated") || path.is_ident("must_use") {
            split.docs.push(attr);
        } else if path.is_ident("cfg") {
            split.cfgs.push(attr);
        } else {
            split.body.push(attr);
        }
    }
    split
}
