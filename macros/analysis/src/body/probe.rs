//! Value probes: which expressions of a body have their *type* asked for, and what is emitted for it (layer V of the
//! determinism catalogue; the types that answer are in `abide_core::probe`).
//!
//! ```text
//! let (__abide_probe_0,);                                     // one cell for each probe
//! for x in match (E,) { v => { if false { never(); __abide_probe_0 = of(&v.0); } v.0 } } { .. }
//! return TAIL;                                                // as the body's tail: the same type is expected of it
//! ordered(__abide_probe_0.order());                           // when inference is done
//! ```
//! A probe must never break code that rustc accepts. The `match` lets temporaries live as long as before, but hides the
//! type that is expected of `E`: so a call is probed where nothing expects a type, or where it has no argument that
//! could need one. Closures and async blocks have cells of their own, for a cell bears lifetimes that a capture would
//! carry out of the body. At the end of those, less is inferred than at the end of the function: only what must be
//! known where it stands is asked there.

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

/// Whose body is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// No probes: switched off, or tokens that must stay as they are.
    Off,
    Function,
    Async,
    Closure,
}

/// What a macro does with its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// What a function would.
    Values,
    /// It polls them.
    Futures,
    /// Not known, or it shows their source: they are left as they are.
    Hidden,
}

/// Whether a type is expected of the expression visited next.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Context {
    /// Not known.
    #[default]
    Unknown,
    /// It may be: an argument, a field, a `let` with a type.
    Typed,
    /// It is not: a `let` without a type, a scrutinee, the operand of `?`.
    Untyped,
    /// It is not, and rustc must know the type where it stands: a receiver, what a field or element is taken of.
    Known,
}

/// What stands around the expression visited next.
#[derive(Clone, Default)]
struct Around {
    context: Context,
    /// The order of what it gives shows nowhere.
    free: bool,
    /// It is iterated.
    iterated: bool,
    /// It stands after `for .. in`.
    head: bool,
    /// Its value is dropped.
    discarded: bool,
    /// The type that is written for it.
    expected: Option<Type>,
    /// The collection that its items go into.
    sink: Option<Expr>,
}

/// The probes of the body that is walked.
pub(super) struct Probes {
    pub(super) place: Place,
    around: Around,
    /// Whether the parent expression makes operands of its children.
    operand: bool,
    /// Names of parameters whose types are inferred later than their closure's end.
    untyped: Vec<String>,
    /// The type that is written for the body's last expression.
    output: Option<Type>,
    pub(super) found: Vec<Found>,
    /// The hygiene of the user's own body: rustc then does not speak of the attribute's expansion.
    pub(super) hygiene: Span,
}

/// What [`Rewriter::enter`] found out about an expression, for [`Rewriter::leave`].
pub(super) struct Entered {
    question: Option<&'static str>,
    pub(super) sink: Option<Expr>,
    operand: bool,
    pub(super) spans: (Span, Span),
    /// Whether it stands where a `match` needs no parentheses: after `for .. in`.
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

/// Whether an expression that could be asked about has attributes: one may be a `#[cfg(..)]`.
fn has_attributes(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => !call.attrs.is_empty(),
        Expr::MethodCall(call) => !call.attrs.is_empty(),
        _ => false,
    }
}

impl Rewriter<'_> {
    /// Whether `expr` holds a finding already: one mistake gives one message.
    fn skip(&self, expr: &Expr) -> bool {
        self.errors.holds(expr)
    }

    /// Before an expression is rewritten: whether to probe it, and what its children are told.
    pub(super) fn enter(&mut self, expr: &Expr) -> Entered {
        let around = std::mem::take(&mut self.probes.around);
        let mut context = around.context;
        if self.probes.operand && context == Context::Unknown {
            context = Context::Typed;
        }
        let operand = std::mem::replace(&mut self.probes.operand, makes_operands(expr));
        // What is dropped at once shows nothing; and rustc warns of a `#[must_use]` function only where it sees the call.
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

    /// After it was rewritten: puts the probe around it.
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

    /// `syn` visits the child first that these expressions look at first.
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
            // `fails()?;`: nobody may ever say what it would have given.
            Expr::Try(_) if around.discarded => Around::default(),
            Expr::Try(_) | Expr::Let(_) => untyped,
            Expr::Match(inner) if !inner.arms.is_empty() => untyped,
            Expr::Reference(_) => Around { context, ..Around::default() },
            Expr::ForLoop(_) => Around { iterated: true, head: true, ..untyped },
            _ => Around::default(),
        };
    }

    /// Calls whose arguments are iterated. Returns whether it has walked `expr`.
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

    /// A `let`; `next` is the statement behind it.
    pub(super) fn probe_local(&mut self, local: &mut Local, sorted: bool) {
        self.visit_pat_mut(&mut local.pat);
        let expected = order::written(local).cloned();
        let context = match &local.pat {
            Pat::Wild(_) => Context::Unknown,
            // rustc's words about a wrong type are better without a probe, and `u32` is no clock's.
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

    /// The statements of a block, each with a look at the next.
    pub(super) fn probe_statements(&mut self, block: &mut Block) {
        let output = self.probes.output.take();
        let last = block.stmts.len().saturating_sub(1);
        for index in 0..block.stmts.len() {
            let (before, after) = block.stmts.split_at_mut(index + 1);
            let place = self.probes.place;
            // A cell for what rustc takes away would never get its type.
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

    /// Without probes where rustc may take the thing away.
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

    /// Walks a body inside of this one, which has probes of its own.
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

    /// Rewrites the body of a closure; with probes in it, it becomes a block.
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

/// Whether the children of `expr` are values that something is done with.
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
