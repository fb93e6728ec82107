//! The locals in scope: their types, and the effects of calling them.

use super::walk::Walker;
use crate::source::Ty;

/// The known facts about a local.
pub(super) struct Local {
    ty: Ty,
    /// Calling it may change a captured value: it is `mut`, or a `&mut`.
    changes: bool,
    /// The effect of calling it, if known.
    acts: Option<String>,
}

impl Walker<'_> {
    /// Binds a name of a pattern.
    pub(super) fn bind_name(&mut self, name: String, ty: Ty) {
        if let Some(scope) = self.locals.last_mut() {
            scope.insert(name, Local { ty, changes: false, acts: None });
        }
    }

    /// The last bound local is `mut`, or a `&mut`.
    pub(super) fn bound_to_change(&mut self, name: &str) {
        if let Some(local) = self.locals.last_mut().and_then(|scope| scope.get_mut(name)) {
            local.changes = true;
        }
    }

    /// The last bound local has this effect when it is called.
    pub(super) fn bound_to_act(&mut self, name: &str, acts: String) {
        if let Some(local) = self.locals.last_mut().and_then(|scope| scope.get_mut(name)) {
            local.acts = Some(acts);
        }
    }

    pub(super) fn local(&self, name: &str) -> Option<&Ty> {
        self.named_local(name).map(|local| &local.ty)
    }

    /// Whether calling this local may change something, as for an `FnMut`.
    pub(super) fn changes(&self, name: &str) -> bool {
        self.named_local(name).is_some_and(|local| local.changes)
    }

    /// The effect of calling this local, if known.
    pub(super) fn local_acts(&self, name: &str) -> Option<&str> {
        self.named_local(name)?.acts.as_deref()
    }

    fn named_local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find_map(|scope| scope.get(name))
    }
}
