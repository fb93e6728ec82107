//! Calls of the crate's own workflows and activities in places where they cannot be made. rustc's message
//! would be about `Send`, or about a type that is not a future. Here the name is known.
//!
//! Only certain mistakes are reported: a name that is bound in the function may be something else.

use super::{Check, Hit};
use crate::errors::{Code, Errors};
use crate::source::{Crate, Env, Found, Function, Want, Written};
use proc_macro2::TokenStream;
use quote::ToTokens;
use std::collections::HashSet;
use std::rc::Rc;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprCall, Signature, Type};

/// The function of the crate that a path resolves to.
fn callee(krate: &Crate, env: &Env, written: &Written) -> Option<Rc<Function>> {
    match krate.resolve(env, written, Want::Value)? {
        Found::Function(function) => Some(function),
        Found::Type(def, rest) => match rest.as_slice() {
            [name] => krate.method(&def, name, None),
            _ => None,
        },
        _ => None,
    }
}

fn bears(function: &Function, word: &str) -> bool {
    function.attributes.iter().any(|path| path.segments.last().is_some_and(|last| last == word))
}

fn is_workflow(function: &Function) -> bool {
    let is_method = function.sig.receiver().is_some();
    bears(function, if is_method { "run" } else { "workflow" })
}

/// A free activity, or a method that is called by its type and without a value, like those of an
/// `#[activity] impl`.
fn is_activity(function: &Function, call: &ExprCall) -> bool {
    let other = ["run", "signal", "query", "update", "init"].iter().any(|word| bears(function, word));
    match function.sig.receiver() {
        None => bears(function, "activity"),
        Some(_) => function.marked && !other && call.args.len() < function.sig.inputs.len(),
    }
}

/// Reports each activity and each workflow that the body of an activity awaits. Returns whether there was one.
pub(crate) fn refuse_activities(
    sig: &Signature,
    block: &Block,
    self_ty: Option<&Type>,
    errors: &mut Errors,
) -> bool {
    // Files are read only if something is awaited.
    if !crate::signature::contains_word(block.to_token_stream(), &["await"]) {
        return false;
    }
    let check = Check { krate: Crate::current(), place: None };
    let self_ty = self_ty.map(|ty| Rc::new(ty.clone()));
    let env = check.env(sig.ident.span(), self_ty.as_ref());
    let mut bound = Bound::default();
    bound.visit_signature(sig);
    bound.visit_block(block);
    let mut calls = Calls { krate: &check.krate, env: &env, bound: bound.0, hits: Vec::new() };
    calls.visit_block(block);
    let told = !calls.hits.is_empty();
    calls.hits.into_iter().for_each(|hit| hit.tell(errors));
    told
}

/// The first call of `activity::complete_later` in the body of an activity.
pub(crate) fn completes_later(sig: &Signature, block: &Block, self_ty: Option<&Type>) -> Option<TokenStream> {
    // Files are read only if the word is there.
    if !crate::signature::contains_word(block.to_token_stream(), &[COMPLETE_LATER]) {
        return None;
    }
    let check = Check { krate: Crate::current(), place: None };
    let self_ty = self_ty.map(|ty| Rc::new(ty.clone()));
    let env = check.env(sig.ident.span(), self_ty.as_ref());
    let mut later = Later { krate: &check.krate, env: &env, found: None };
    later.visit_block(block);
    later.found
}

const COMPLETE_LATER: &str = "complete_later";

struct Later<'a> {
    krate: &'a Crate,
    env: &'a Env,
    found: Option<TokenStream>,
}

impl<'ast> Visit<'ast> for Later<'_> {
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(func) = &*call.func
            && func.qself.is_none()
            && self.is_ours(&Written::of(&func.path))
        {
            self.found.get_or_insert_with(|| func.to_token_stream());
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

impl Later<'_> {
    /// The prelude's glob cannot be listed, so a path that resolves to nothing else is abide's if it names the module.
    fn is_ours(&self, written: &Written) -> bool {
        match self.krate.resolve(self.env, written, Want::Value) {
            Some(Found::Foreign(path)) => {
                path.first().is_some_and(|first| first == "abide")
                    && path.last().is_some_and(|last| last == COMPLETE_LATER)
            }
            Some(_) => false,
            None => {
                matches!(written.segments.as_slice(), [.., m, name] if m == "activity" && name == COMPLETE_LATER)
            }
        }
    }
}

/// All names that a function binds.
#[derive(Default)]
struct Bound(HashSet<String>);

impl<'ast> Visit<'ast> for Bound {
    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        self.0.insert(pat.ident.to_string());
        visit::visit_pat_ident(self, pat);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        if let syn::Item::Fn(function) = item {
            self.0.insert(function.sig.ident.to_string());
        }
    }
}

struct Calls<'a> {
    krate: &'a Crate,
    env: &'a Env,
    bound: HashSet<String>,
    hits: Vec<Hit>,
}

/// The awaited call, with or without options: `charge(n).start_to_close(LIMIT)`.
fn awaited(expr: &Expr) -> Option<&ExprCall> {
    match expr {
        Expr::Call(call) => Some(call),
        Expr::MethodCall(call) => awaited(&call.receiver),
        Expr::Paren(inner) => awaited(&inner.expr),
        Expr::Group(inner) => awaited(&inner.expr),
        Expr::Reference(inner) => awaited(&inner.expr),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Calls<'_> {
    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        if let Some(call) = awaited(&expr.base)
            && let Expr::Path(func) = &*call.func
            && func.qself.is_none()
        {
            let written = Written::of(&func.path);
            let is_bound = matches!(written.segments.as_slice(), [name] if self.bound.contains(name));
            let function = (!is_bound).then(|| callee(self.krate, self.env, &written)).flatten();
            match function {
                Some(function) if is_activity(&function, call) => {
                    self.refuse(call.to_token_stream(), &written, &function);
                }
                Some(function) if is_workflow(&function) => {
                    let what = format!("the workflow `{written}`");
                    let reason = "is awaited in an activity: only a workflow has children";
                    let instead = "let a client start it: `client.start(report(day)).await?`";
                    let tokens = call.to_token_stream();
                    self.hits.push(Hit::rule(&tokens, Code::ForeignAwait, what, reason, instead));
                }
                _ => {}
            }
        }
        visit::visit_expr_await(self, expr);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

impl Calls<'_> {
    fn refuse(&mut self, tokens: TokenStream, written: &Written, function: &Function) {
        let instead = match function.sig.receiver() {
            None => {
                "call its body, here and without retries of its own: `charge::body(n).await`; or let the \
                 workflow call both"
            }
            Some(_) => {
                "call the method on a value, here and without retries of its own: \
                 `payments.charge(n).await`; or let the workflow call both"
            }
        };
        let what = format!("the activity `{written}`");
        let reason =
            "is called in an activity: activities are called by workflows, whose history keeps the result";
        self.hits.push(Hit::rule(&tokens, Code::ActivityCall, what, reason, instead));
    }
}
