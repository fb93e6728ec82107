//! Value probes: selects the expressions of a body whose *type* is checked, and emits the checks (layer V of
//! `docs/determinism.md`; the types that answer are in `abide_core::probe`).
//!
//! ```text
//! let (__abide_probe_0,);                                     // one cell for each probe
//! for x in match (E,) { v => { if false { never(); __abide_probe_0 = of(&v.0); } v.0 } } { .. }
//! return TAIL;                                                // as the body's tail: the same type is expected of it
//! ordered(__abide_probe_0.order());                           // when inference is done
//! ```
//! A probe must never break code that rustc accepts. The `match` keeps temporaries alive as before, but it
//! hides the type that `E` is expected to have. So a call is probed only where no type is expected, or if it
//! has no argument that could need one. Closures and async blocks have cells of their own, because a cell has
//! lifetimes that a capture would carry out of the body. At the end of a closure or async block, less is
//! inferred than at the end of the function. There, only types that rustc must know at the expression are
//! checked.

use super::candidates::{self, Clock};
use super::cells::{Found, ends};
use super::rewrite::Rewriter;
use super::tail;
use crate::attributes::{self, is_conditional};
use crate::order;
use crate::stored;
use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Block, Expr, ExprCall, ExprClosure, Local, Pat, Stmt, Type};

/// The kind of the body being walked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// No probes: they are turned off, or the tokens must not change.
    Off,
    Function,
    Async,
    Closure,
}

/// How a macro uses its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// It uses them as a function would.
    Values,
    /// It polls them.
    Futures,
    /// Unknown, or it shows their source. They do not change.
    Hidden,
}

/// Whether the next visited expression has an expected type.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Context {
    /// Unknown.
    #[default]
    Unknown,
    /// It may have one: an argument, a field, a `let` with a type.
    Typed,
    /// It has none: a `let` without a type, a scrutinee, the operand of `?`.
    Untyped,
    /// It has none, and rustc must know its type there: a receiver, or the base of a field or element.
    Known,
}

/// The surroundings of the next visited expression.
#[derive(Clone, Default)]
struct Around {
    context: Context,
    /// The order of its items is not observable.
    free: bool,
    /// It is iterated.
    iterated: bool,
    /// It comes after `for .. in`.
    head: bool,
    /// Its value is dropped.
    discarded: bool,
    /// Its written type.
    expected: Option<Type>,
    /// The collection that its items go into.
    sink: Option<Expr>,
}

/// The probes of the body being walked.
pub(super) struct Probes {
    pub(super) place: Place,
    around: Around,
    /// Whether the parent expression uses its children as operands.
    operand: bool,
    /// Names of parameters whose types are inferred only after their closure's end.
    untyped: Vec<String>,
    /// The written type of the body's last expression.
    output: Option<Type>,
    pub(super) found: Vec<Found>,
    /// The hygiene of the user's body, so that rustc does not mention the attribute's expansion.
    pub(super) hygiene: Span,
}

/// What [`Rewriter::enter`] found about an expression, for [`Rewriter::leave`].
pub(super) struct Entered {
    question: Option<&'static str>,
    pub(super) sink: Option<Expr>,
    operand: bool,
    pub(super) spans: (Span, Span),
    /// Whether a `match` needs no parentheses there: after `for .. in`.
    pub(super) bare: bool,
}

impl Probes {
    pub(super) fn new(on: bool, output: &Type, hygiene: Span) -> Self {
        let place = if on { Place::Function } else { Place::Off };
        Self {
            place,
            around: Around::default(),
            operand: false,
            untyped: Vec::new(),
            output: Some(output.clone()),
            found: Vec::new(),
            hygiene,
        }
    }
}

/// Whether an expression that could be probed has attributes. One may be a `#[cfg(..)]`.
fn has_attributes(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => !call.attrs.is_empty(),
        Expr::MethodCall(call) => !call.attrs.is_empty(),
        _ => false,
    }
}

impl Rewriter<'_> {
    /// Whether `expr` contains a finding already. One mistake gives one message.
    fn skip(&self, expr: &Expr) -> bool {
        self.errors.holds(expr)
    }

    /// Called before an expression is rewritten. Decides whether to probe it, and sets the surroundings of
    /// its children.
    pub(super) fn enter(&mut self, expr: &Expr) -> Entered {
        let around = std::mem::take(&mut self.probes.around);
        let mut context = around.context;
        if self.probes.operand && context == Context::Unknown {
            context = Context::Typed;
        }
        let operand = std::mem::replace(&mut self.probes.operand, makes_operands(expr));
        // A dropped value is not observable, and rustc reports an unused `#[must_use]` function only if it
        // sees the call.
        let plain = self.probes.place == Place::Off || around.discarded;
        let question = match plain || self.skip(expr) || has_attributes(expr) {
            true => None,
            false => self.question(expr, &around, context),
        };
        let sink = around.sink.clone();
        let bare = around.head;
        self.tell_first_child(expr, around, context);
        let spans = if question.is_some() { ends(expr) } else { (Span::call_site(), Span::call_site()) };
        Entered { question, sink, operand, spans, bare }
    }

    /// Called after it was rewritten. Puts the probe around it.
    pub(super) fn leave(&mut self, entered: Entered, expr: &mut Expr) {
        self.probes.operand = entered.operand;
        self.probes.around = Around::default();
        if let Some(question) = entered.question {
            self.wrap(question, entered, expr);
        }
    }

    fn question(&self, expr: &Expr, around: &Around, context: Context) -> Option<&'static str> {
        match expr {
            Expr::MethodCall(call) if candidates::is_unordered(call) => (!around.free).then_some("order"),
            expr if around.iterated && !around.free => {
                let open = match candidates::bare(expr) {
                    Expr::Path(path) => path
                        .path
                        .get_ident()
                        .is_some_and(|name| self.probes.untyped.iter().any(|open| name == open)),
                    _ => false,
                };
                (!open && !candidates::is_known_iterable(expr)).then_some("order")
            }
            Expr::Call(call) => {
                let untyped = matches!(context, Context::Untyped | Context::Known);
                let asked = untyped || (context == Context::Typed && call.args.is_empty());
                self.clock_question(candidates::clock_of_call(call).filter(|_| asked), context)
            }
            Expr::MethodCall(call) => {
                let asked = context != Context::Unknown;
                self.clock_question(candidates::clock_of_method(call).filter(|_| asked), context)
            }
            _ => None,
        }
    }

    fn clock_question(&self, clock: Option<Clock>, context: Context) -> Option<&'static str> {
        match (clock?, self.probes.place, context) {
            (Clock::Any, Place::Function, _) => Some("time"),
            (Clock::Instant, Place::Function, _) => Some("instant"),
            (Clock::Any, Place::Async | Place::Closure, Context::Known) => Some("bare_time"),
            (Clock::Instant, Place::Async | Place::Closure, Context::Known) => Some("bare_instant"),
            _ => None,
        }
    }

    /// Sets the surroundings for the child that `syn` visits first.
    fn tell_first_child(&mut self, expr: &Expr, around: Around, context: Context) {
        let untyped = Around { context: Context::Untyped, ..Around::default() };
        let known = Around { context: Context::Known, ..Around::default() };
        self.probes.around = match expr {
            Expr::Paren(_) | Expr::Group(_) => Around { context, head: false, ..around },
            Expr::MethodCall(call) => {
                let sink = around.sink.filter(|_| order::passes(call));
                let free = order::forgotten(call, around.free, around.expected.as_ref());
                Around { free, sink, ..known }
            }
            Expr::Field(_) | Expr::Index(_) => known,
            Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Deref(_)) => known,
            // `fails()?;`: the type of its value may be known nowhere.
            Expr::Try(_) if around.discarded => Around::default(),
            Expr::Try(_) | Expr::Let(_) => untyped,
            Expr::Match(inner) if !inner.arms.is_empty() => untyped,
            Expr::Reference(_) => Around { context, ..Around::default() },
            Expr::ForLoop(_) => Around { iterated: true, head: true, ..untyped },
            _ => Around::default(),
        };
    }

    /// Walks calls whose arguments are iterated. Returns whether it has walked `expr`.
    pub(super) fn iterated_arguments(&mut self, expr: &mut Expr) -> bool {
        match expr {
            Expr::MethodCall(call) if candidates::takes_iterable(call) => {
                let receiver = call.receiver.clone();
                self.visit_expr_mut(&mut call.receiver);
                let sink =
                    (call.method == "extend" && candidates::is_plain_place(&receiver)).then_some(*receiver);
                for arg in &mut call.args {
                    self.probes.around = Around { iterated: true, sink: sink.clone(), ..Around::default() };
                    self.visit_expr_mut(arg);
                }
                true
            }
            Expr::Call(ExprCall { func, args, .. }) if order::is_sorting_fn(func) => {
                for arg in args {
                    self.probes.around = Around { free: true, ..Around::default() };
                    self.visit_expr_mut(arg);
                }
                true
            }
            _ => false,
        }
    }

    /// A `let`. `sorted`: the next statement sorts its variable.
    pub(super) fn probe_local(&mut self, local: &mut Local, sorted: bool) {
        self.visit_pat_mut(&mut local.pat);
        let expected = order::written(local).cloned();
        let context = match &local.pat {
            Pat::Wild(_) => Context::Unknown,
            // Without a probe, rustc reports a wrong type better, and a type such as `u32` is no clock's.
            Pat::Type(typed) if stored::is_known(&typed.ty) => Context::Unknown,
            Pat::Type(_) => Context::Typed,
            _ => Context::Untyped,
        };
        let Some(init) = &mut local.init else { return };
        if let Expr::Closure(ExprClosure { inputs, .. }) = &*init.expr {
            self.probes.untyped.extend(candidates::untyped_names(inputs));
        }
        let discarded = matches!(local.pat, Pat::Wild(_));
        self.probes.around = Around { context, free: sorted, expected, discarded, ..Around::default() };
        self.probes.operand = false;
        self.visit_expr_mut(&mut init.expr);
        if let Some((_, diverge)) = &mut init.diverge {
            self.visit_expr_mut(diverge);
        }
    }

    /// Walks the statements of a block. Each step also sees the next statement.
    pub(super) fn probe_statements(&mut self, block: &mut Block) {
        let output = self.probes.output.take();
        let last = block.stmts.len().saturating_sub(1);
        for index in 0..block.stmts.len() {
            let (before, after) = block.stmts.split_at_mut(index + 1);
            let place = self.probes.place;
            // If rustc removes the statement, its cell would never get a type.
            if before.last().is_some_and(|stmt| is_conditional(attributes::of_statement(stmt))) {
                self.probes.place = Place::Off;
            }
            match before.last_mut() {
                Some(Stmt::Local(local)) => {
                    let sorted = order::sorted_by(local, after.first());
                    self.probe_local(local, sorted);
                }
                Some(other) => {
                    let discarded = matches!(
                        other,
                        Stmt::Expr(Expr::Try(_) | Expr::Call(_) | Expr::MethodCall(_), Some(_))
                    );
                    let expected =
                        output.clone().filter(|_| index == last && matches!(other, Stmt::Expr(_, None)));
                    self.probes.around = Around { discarded, expected, ..Around::default() };
                    self.visit_stmt_mut(other);
                }
                None => {}
            }
            self.probes.place = place;
        }
    }

    /// Walks without probes if rustc may remove the node.
    pub(super) fn conditionally(&mut self, attributes: &[syn::Attribute], walk: impl FnOnce(&mut Self)) {
        let place = self.probes.place;
        if is_conditional(attributes) {
            self.probes.place = Place::Off;
        }
        walk(self);
        self.probes.place = place;
    }

    /// Walks an argument of a macro.
    pub(super) fn in_macro<R>(&mut self, operands: Operands, walk: impl FnOnce(&mut Self) -> R) -> R {
        let place = self.probes.place;
        if operands == Operands::Hidden {
            self.probes.place = Place::Off;
        }
        self.probes.operand = operands == Operands::Values;
        self.probes.around = Around::default();
        let walked = walk(self);
        self.probes.place = place;
        walked
    }

    /// Walks an inner body, which has its own probes.
    pub(super) fn probe_body<R>(&mut self, place: Place, walk: impl FnOnce(&mut Self) -> R) -> R {
        let place = if self.probes.place == Place::Off { Place::Off } else { place };
        let outer_place = std::mem::replace(&mut self.probes.place, place);
        let outer = std::mem::take(&mut self.probes.found);
        let operand = std::mem::replace(&mut self.probes.operand, false);
        self.probes.around = Around::default();
        let walked = walk(self);
        self.probes.place = outer_place;
        self.probes.found = outer;
        self.probes.operand = operand;
        walked
    }

    /// Rewrites the body of a closure. If it has probes, it becomes a block.
    pub(super) fn checked_expr(&mut self, body: &mut Expr) {
        let at = body.span();
        let plain_block =
            matches!(body, Expr::Block(inner) if inner.label.is_none() && inner.attrs.is_empty());
        let ends = match &*body {
            Expr::Block(inner) if plain_block => tail::of(&inner.block),
            other => tail::of_expr(other),
        };
        self.visit_expr_mut(body);
        if self.probes.found.is_empty() {
            return;
        }
        let rewritten = std::mem::replace(body, Expr::Verbatim(TokenStream::new()));
        let statements = match rewritten {
            Expr::Block(inner) if plain_block => inner.block.stmts,
            other => vec![Stmt::Expr(other, None)],
        };
        let checked = self.checked(&ends, &statements);
        *body = Expr::Verbatim(quote_spanned!(at=> { #checked }));
    }
}

/// Whether `expr` uses its children as values.
fn makes_operands(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Call(_)
            | Expr::MethodCall(_)
            | Expr::Tuple(_)
            | Expr::Array(_)
            | Expr::Struct(_)
            | Expr::Binary(_)
            | Expr::Assign(_)
            | Expr::Paren(_)
            | Expr::Reference(_)
    )
}
