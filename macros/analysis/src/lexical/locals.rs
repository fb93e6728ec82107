//! The locals in scope: what they are, and what a call of them may do.

use super::walk::Walker;
use crate::source::Ty;

/// What is known of a local.
pub(super) struct Local {
    ty: Ty,
    /// A call of it may change what it has captured: it is `mut`, or a `&mut`.
    changes: bool,
    /// What a call of it does, if that is known.
    acts: Option<String>,
}

impl Walker<'_> {
    /// Binds what a pattern names.
    pub(super) fn bind_name(&mut self, name: String, ty: Ty) {
        if let Some(scope) = self.locals.last_mut() {
            scope.insert(name, Local { ty, changes: false, acts: None });
        }
    }

    /// What was bound last is `mut`, or a `&mut`.
    pub(super) fn bound_to_change(&mut self, name: &str) {
        if let Some(local) = self.locals.last_mut().and_then(|scope| scope.get_mut(name)) {
            local.changes = true;
        }
    }

    /// What was bound last does this when it is called.
    pub(super) fn bound_to_act(&mut self, name: &str, acts: String) {
        if let Some(local) = self.locals.last_mut().and_then(|scope| scope.get_mut(name)) {
            local.acts = Some(acts);
        }
    }

    pub(super) fn local(&self, name: &str) -> Option<&Ty> {
        self.named_local(name).map(|local| &local.ty)
    }

    /// Whether a call of this local may change something: that of an `FnMut`.
    pub(super) fn changes(&self, name: &str) -> bool {
        self.named_local(name).is_some_and(|local| local.changes)
    }

    /// What a call of this local does, if that is known.
    pub(super) fn local_acts(&self, name: &str) -> Option<&str> {
        self.named_local(name)?.acts.as_deref()
    }

    fn named_local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find_map(|scope| scope.get(name))
    }
}
