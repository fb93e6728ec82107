//! Reasons of escape hatches: a blank one in `workflow::assume_deterministic("", ..)` is reported at compile
//! time. (`workflow::allow!` checks its own reason in any code, and `assume_deterministic` does so at run
//! time where no attribute reads it.)

use crate::errors::{Code, Errors};
use crate::literals::is_reason;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprCall, Lit};

/// Finds blank reasons.
pub(super) fn check(block: &Block, errors: &mut Errors) {
    Check(errors).visit_block(block);
}

struct Check<'a>(&'a mut Errors);

impl<'ast> Visit<'ast> for Check<'_> {
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let is_it =
            |path: &syn::Path| path.segments.last().is_some_and(|last| last.ident == "assume_deterministic");
        let named = matches!(&*call.func, Expr::Path(path) if is_it(&path.path));
        let why = call.args.first().filter(|_| named && call.args.len() == 2);
        let literal = |why: &&Expr| matches!(why, Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)));
        if let Some(why) = why.filter(literal).filter(|why| !is_reason(why)) {
            let help = "say why it makes the same choices on every replay: `assume_deterministic(\"a pure \
                        table\", ..)`";
            self.0.add(Code::Value, why, "`workflow::assume_deterministic` needs a reason", help);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
