//! The parts of a `#[workflow] impl`: `run`, handlers and helpers, and their mistakes.

use super::{handlers, init};
use crate::activity::check_owned;
use crate::args::WorkflowArgs;
use crate::attributes::refuse_instrument;
use crate::errors::{Code, Errors};
use crate::helper::{Mark, SelfHome, own_mark};
use crate::signature::{self, Argument, SelfKind};
use crate::suggest;
use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, ImplItem, ImplItemFn, ItemImpl, Meta, Type};

/// The role of a method in its workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Run,
    /// Makes the state from the input.
    Init,
    Signal,
    Query,
    Update,
    Helper,
}

impl Role {
    /// Whether a handle has a method for it.
    pub(super) fn is_of_clients(self) -> bool {
        matches!(self, Self::Signal | Self::Query | Self::Update)
    }
}

/// A method, without our attributes.
pub(super) struct Method {
    pub(super) role: Role,
    pub(super) function: ImplItemFn,
    /// Its name for clients: the function's, or `name = ".."`.
    pub(super) key: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) output: Type,
    pub(super) kind: SelfKind,
    /// The options of `#[workflow::helper(..)]` and `#[workflow::deterministic("why")]` on it.
    pub(super) mark: Mark,
    /// It is wrong. Calls of it are left out, so that rustc adds no error.
    pub(super) broken: bool,
    /// Its body does something that its role does not allow. A stub replaces it.
    pub(super) stubbed: bool,
    /// Of an update: the path of its validator.
    pub(super) validate: Option<syn::Expr>,
}

/// The methods, and the other items (constants, types).
#[derive(Default)]
pub(super) struct Model {
    pub(super) methods: Vec<Method>,
    pub(super) others: Vec<ImplItem>,
}

const ROLES: &[&str] = &["run", "init", "signal", "query", "update"];

/// A word of rustc that is similar to one of these.
const NO_ROLE: &[&str] = &["inline"];

/// Names of methods that the handle's own traits have, and that would be found first.
const RESERVED: &[&str] = &["clone", "into", "try_into"];

impl Model {
    pub(super) fn of(block: &ItemImpl, errors: &mut Errors) -> Self {
        let mut model = Self::default();
        for item in &block.items {
            match item {
                ImplItem::Fn(function) => {
                    model.methods.push(method(function.clone(), &block.self_ty, errors));
                }
                other => model.others.push(other.clone()),
            }
        }
        model.check_runs(block, errors);
        model.check_names(errors);
        init::check_all(&mut model, errors);
        model
    }

    pub(super) fn run(&self) -> Option<&Method> {
        self.methods.iter().find(|method| method.role == Role::Run)
    }

    pub(super) fn with(&self, role: Role) -> impl Iterator<Item = &Method> {
        self.methods.iter().filter(move |method| method.role == role)
    }

    fn check_runs(&self, block: &ItemImpl, errors: &mut Errors) {
        let mut runs = self.with(Role::Run);
        if runs.next().is_none() {
            let help = "mark the method that is the workflow's body: `#[run] async fn run(&mut self, ..)`";
            errors.add(Code::Signature, &block.self_ty, "a workflow without `#[run]`", help);
        }
        for second in runs {
            let help = "a workflow has one body: make the other a helper method, or a workflow of its own";
            errors.add(Code::Signature, &second.function.sig.ident, "a second `#[run]`", help);
        }
    }

    fn check_names(&self, errors: &mut Errors) {
        let mut seen: Vec<(Role, &str)> = Vec::new();
        for method in self.methods.iter().filter(|method| method.role.is_of_clients()) {
            let name = method.function.sig.ident.to_string();
            if RESERVED.contains(&name.as_str()) {
                let message =
                    format!("a handler cannot be called `{name}`: every handle has a method of that name");
                errors.add(Code::Reserved, &method.function.sig.ident, &message, "call it something else");
            }
            if seen.contains(&(method.role, &method.key)) {
                let message = format!("a second handler for `{}`", method.key);
                errors.add(Code::Reserved, &method.function.sig.ident, &message, "give it another name");
            }
            seen.push((method.role, &method.key));
        }
    }
}

fn method(mut function: ImplItemFn, self_ty: &Type, errors: &mut Errors) -> Method {
    let mark = own_mark(Mark::of(SelfHome::State), &mut function.attrs, errors);
    let (role, args) = role(&mut function.attrs, errors);
    let name = args.name.as_ref().map(syn::LitStr::value);
    let ImplItemFn { attrs, sig, block, .. } = &mut function;
    refuse_instrument(attrs, sig, block, errors);
    let before = errors.len();
    let sig = &function.sig;
    let mut method = Method {
        broken: false,
        stubbed: false,
        validate: args.validate,
        mark,
        role,
        key: name.unwrap_or_else(|| sig.ident.to_string().trim_start_matches("r#").to_owned()),
        arguments: signature::arguments(sig),
        output: signature::output(sig),
        kind: signature::self_kind(sig),
        function,
    };
    match role {
        Role::Run => check_run(&method, errors),
        Role::Init => init::check(&method, self_ty, errors),
        Role::Signal => check_signal(&method, errors),
        Role::Query => check_query(&method, errors),
        Role::Update => check_update(&method, errors),
        Role::Helper => {}
    }
    let signature = errors.len();
    handlers::check_body(&mut method, errors);
    method.stubbed = errors.len() > signature;
    method.broken = errors.len() > before;
    method
}

/// Removes our attributes from a method and reads its role from them.
fn role(attrs: &mut Vec<Attribute>, errors: &mut Errors) -> (Role, WorkflowArgs) {
    let (mut role, mut args) = (Role::Helper, WorkflowArgs::default());
    let mut kept = Vec::new();
    for attr in std::mem::take(attrs) {
        let Some(word) = word(&attr) else {
            kept.push(attr);
            continue;
        };
        let found = match word.as_str() {
            "run" => Role::Run,
            "init" => Role::Init,
            "signal" => Role::Signal,
            "query" => Role::Query,
            "update" => Role::Update,
            "activity" => {
                let help = "move it to an `impl` of its own: `#[activity] impl Payments { .. }`";
                errors.add(Code::Misplaced, &attr.meta, "an activity in a `#[workflow]` impl", help);
                continue;
            }
            "workflow" => {
                let help = "the `impl` block is marked already; mark its body with `#[run]`";
                errors.add(Code::Misplaced, &attr.meta, "`#[workflow]` inside of a `#[workflow]` impl", help);
                continue;
            }
            other => {
                let message = format!("`#[{other}]` is no attribute of a workflow's method");
                let near = suggest::nearest(other, ROLES).unwrap_or("run");
                errors.add(Code::Unknown, &attr.meta, &message, &format!("did you mean `#[{near}]`?"));
                // Treated as meant, so that no second error follows.
                match near {
                    "init" => Role::Init,
                    "signal" => Role::Signal,
                    "query" => Role::Query,
                    "update" => Role::Update,
                    _ => Role::Run,
                }
            }
        };
        if role != Role::Helper {
            let help = "a method is `#[run]`, `#[init]`, a `#[signal]`, a `#[query]` or an `#[update]`";
            errors.add(Code::Misplaced, &attr.meta, "a method with two roles", help);
            continue;
        }
        role = found;
        args = arguments(&attr, &format!("#[{word}]"), errors);
    }
    *attrs = kept;
    (role, args)
}

fn arguments(attr: &Attribute, attribute: &str, errors: &mut Errors) -> WorkflowArgs {
    match &attr.meta {
        Meta::List(list) => WorkflowArgs::parse(list.tokens.clone(), attribute, errors),
        _ => WorkflowArgs::default(),
    }
}

/// The word of an attribute that is ours, or that may be meant as one: `#[querry]`, `#[workflow::signal]`.
fn word(attr: &Attribute) -> Option<String> {
    let path = attr.path();
    let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    match words.as_slice() {
        [one] if ROLES.contains(&one.as_str()) => Some(one.clone()),
        [one] if ["activity", "workflow"].contains(&one.as_str()) => Some(one.clone()),
        [one] if NO_ROLE.contains(&one.as_str()) => None,
        [one] => suggest::nearest(one, ROLES).map(|_| one.clone()),
        [.., module, one] if module == "workflow" || module == "abide" => Some(one.clone()),
        _ => None,
    }
}

/// Whether a method is a workflow's body or a handler.
pub(crate) fn handles(attrs: &[Attribute]) -> bool {
    attrs.iter().filter_map(word).any(|word| ROLES.contains(&word.as_str()))
}

/// Whether a method makes a workflow's state.
pub(crate) fn is_init(attrs: &[Attribute]) -> bool {
    attrs.iter().filter_map(word).any(|word| word == "init")
}

fn check_run(method: &Method, errors: &mut Errors) {
    let sig = &method.function.sig;
    if sig.asyncness.is_none() {
        errors.add(Code::Signature, &sig.fn_token, "`#[run]` is an `async fn`", "write `async fn`");
    }
    if !matches!(method.kind, SelfKind::Shared | SelfKind::Exclusive) {
        let help = "write `async fn run(&mut self, ..)`; a workflow without state can be a free `async fn`";
        let at = sig.receiver().map_or(quote!(), |receiver| quote!(#receiver));
        let tokens = if at.is_empty() { ident_tokens(method) } else { at };
        errors.add(Code::Signature, &tokens, "`#[run]` takes `&mut self`", help);
    }
    check_plain(method, "a workflow", errors);
}

fn check_signal(method: &Method, errors: &mut Errors) {
    let sig = &method.function.sig;
    if !matches!(method.kind, SelfKind::Shared | SelfKind::Exclusive) {
        let help = "write `fn approve(&mut self, ..)`";
        errors.add(Code::Signature, &sig.ident, "a signal takes `&mut self`", help);
    }
    if let syn::ReturnType::Type(_, ty) = &sig.output
        && !matches!(&**ty, Type::Tuple(unit) if unit.elems.is_empty())
    {
        let help = "its sender waits for no answer: keep what it found in the state; what answers is a `#[query]` or \
             an `#[update]`";
        errors.add(Code::Signature, ty, "a signal returns nothing", help);
    }
    check_plain(method, "a signal", errors);
}

fn check_update(method: &Method, errors: &mut Errors) {
    let sig = &method.function.sig;
    if !matches!(method.kind, SelfKind::Shared | SelfKind::Exclusive) {
        let help = "write `fn set_address(&mut self, ..)`";
        errors.add(Code::Signature, &sig.ident, "an update takes `&mut self`", help);
    }
    check_plain(method, "an update", errors);
}

fn check_query(method: &Method, errors: &mut Errors) {
    let sig = &method.function.sig;
    if let Some(token) = &sig.asyncness {
        let help = "a query is answered from the state, at once: write a plain `fn`; what runs activities \
                    is a `#[signal]`";
        errors.add(Code::Signature, token, "a query cannot be `async`", help);
    }
    match (method.kind, sig.receiver()) {
        (SelfKind::Shared, _) => {}
        (_, Some(receiver)) => {
            let help = "write `&self`; what changes the state is a `#[signal]`";
            errors.add(Code::Signature, receiver, "a query takes `&self`: it cannot change the state", help);
        }
        (_, None) => {
            errors.add(Code::Signature, &sig.ident, "a query takes `&self`", "write `fn status(&self)`")
        }
    }
    if matches!(sig.output, syn::ReturnType::Default) {
        let help = "write what it answers: `fn status(&self) -> Status`";
        errors.add(Code::Signature, &sig.ident, "a query without an answer", help);
    }
    check_plain(method, "a query", errors);
}

fn check_plain(method: &Method, what: &str, errors: &mut Errors) {
    let sig = &method.function.sig;
    if !sig.generics.params.is_empty() {
        let help = "history knows it by its name alone; helper methods may be generic";
        errors.add(Code::Signature, &sig.generics, &format!("{what} cannot be generic"), help);
    }
    if signature::has_impl_trait(&method.output) {
        let message = format!("what {what} returns is stored in history, so its type needs a name");
        errors.at(Code::Signature, method.output.span(), &message, "write the type");
    }
    check_owned(sig, what, errors);
}

fn ident_tokens(method: &Method) -> TokenStream {
    let ident = &method.function.sig.ident;
    quote!(#ident)
}
