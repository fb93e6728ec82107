//! The arguments of the attributes. Every mistake is reported on its own token, with the names that exist.

use crate::durations;
use crate::errors::{Code, Errors};
use crate::literals::{ACTIVITY_QUEUE, crate_path, is_reason, name_text, queue_text, text};
use crate::queueing::QueueArgs;
use crate::suggest;
use crate::workflow::StartArgs;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, LitStr, Path, Token};

/// One argument: `name = value`, `name(..)`, `name`, or a bare value.
struct Arg {
    name: Option<Ident>,
    value: Value,
}

enum Value {
    None,
    Expr(Expr),
    List(TokenStream),
}

impl Parse for Arg {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        if !input.peek(Ident::peek_any) {
            return Ok(Self { name: None, value: Value::Expr(input.parse()?) });
        }
        let name = Some(input.call(Ident::parse_any)?);
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Value::Expr(input.parse()?)
        } else if input.peek(syn::token::Paren) {
            let list;
            syn::parenthesized!(list in input);
            Value::List(list.parse()?)
        } else {
            Value::None
        };
        Ok(Self { name, value })
    }
}

fn parse(tokens: TokenStream, form: &str, errors: &mut Errors) -> Vec<Arg> {
    match Punctuated::<Arg, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(args) => {
            let args: Vec<Arg> = args.into_iter().collect();
            twice(&args, errors);
            args
        }
        Err(error) => {
            errors.syn(Code::Unknown, &error, form);
            Vec::new()
        }
    }
}

/// Reports an argument that is given twice, because one of the values would be lost.
fn twice(args: &[Arg], errors: &mut Errors) {
    let names = args.iter().filter_map(|arg| arg.name.as_ref());
    for (at, name) in names.clone().enumerate() {
        if names.clone().take(at).any(|before| before == name) {
            let message = format!("`{name}` is written twice");
            errors.at(Code::Value, name.span(), &message, "leave one of them out");
        }
    }
}

fn unknown(name: Option<&Ident>, value: &Value, attribute: &str, known: &[&str], errors: &mut Errors) {
    let help = |name: &str| match (suggest::elsewhere(attribute, name), suggest::nearest(name, known)) {
        (Some(here), _) if here.contains('?') => format!("did you mean {here}"),
        (Some(here), _) => format!("did you mean {here}?"),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => format!("it takes {}", suggest::list(known)),
    };
    match (name, value) {
        (Some(name), _) => {
            let text = name.to_string();
            let message = format!("`{attribute}` has no argument `{text}`");
            errors.at(Code::Unknown, name.span(), &message, &help(&text));
        }
        (None, Value::Expr(value)) => {
            errors.add(Code::Unknown, value, &format!("`{attribute}` takes named arguments"), &help(""));
        }
        (None, _) => {}
    }
}

/// The arguments of `#[activity]`.
#[derive(Default)]
pub(crate) struct ActivityArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    /// The pairs of field and duration of `start_to_close`, `heartbeat_timeout` and the like.
    pub(crate) timeouts: Vec<(&'static str, TokenStream)>,
    /// Fields of the retry policy.
    pub(crate) retry: Vec<(&'static str, TokenStream)>,
    pub(crate) retry_if: Option<Expr>,
    pub(crate) retry_after: Option<Expr>,
    /// The variant of `CancellationType`.
    pub(crate) cancellation: Option<Ident>,
    /// `transactional`: the first argument is the connection of the engine's transaction.
    pub(crate) transactional: Option<Ident>,
    pub(crate) task_queue: Option<LitStr>,
    /// `most`, `rate`, `burst`, `priority`.
    pub(crate) queueing: QueueArgs,
    /// `complete_later`: the holder of its token may end it.
    pub(crate) complete_later: Option<Ident>,
}

const ACTIVITY: &[&str] = &[
    "name",
    "start_to_close",
    "schedule_to_close",
    "schedule_to_start",
    "heartbeat_timeout",
    "retry",
    "retry_if",
    "retry_after",
    "cancellation",
    "transactional",
    "task_queue",
    "most",
    "rate",
    "burst",
    "priority",
    "complete_later",
    "crate",
];

impl ActivityArgs {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let form = "write `#[activity(start_to_close = \"30s\", retry(max_attempts = 3))]`";
        let mut args = Self::default();
        for Arg { name, value } in parse(tokens, form, errors) {
            let text = name.as_ref().map(ToString::to_string).unwrap_or_default();
            match (text.as_str(), value) {
                ("name", Value::Expr(value)) => args.name = name_text(&value, errors),
                ("crate", Value::Expr(value)) => args.krate = crate_path(&value, errors),
                ("start_to_close", Value::Expr(value)) => args.timeout("start_to_close", &value, errors),
                ("schedule_to_close", Value::Expr(value)) => {
                    args.timeout("schedule_to_close", &value, errors)
                }
                ("schedule_to_start", Value::Expr(value)) => {
                    args.timeout("schedule_to_start", &value, errors)
                }
                ("heartbeat_timeout", Value::Expr(value)) => {
                    args.timeout("heartbeat_timeout", &value, errors)
                }
                ("retry_if", Value::Expr(value)) => args.retry_if = Some(value),
                ("retry_after", Value::Expr(value)) => args.retry_after = Some(value),
                ("cancellation", Value::Expr(value)) => args.cancellation = cancellation(&value, errors),
                ("task_queue", Value::Expr(value)) => {
                    args.task_queue = queue_text(&value, ACTIVITY_QUEUE, errors);
                }
                ("most" | "rate" | "burst" | "priority", Value::Expr(value)) => {
                    name.iter().for_each(|name| args.queueing.add(name, &value, errors));
                }
                ("retry", Value::List(list)) => args.retry = retry(list, errors),
                ("transactional", Value::None) => args.transactional = name,
                ("complete_later", Value::None) => args.complete_later = name,
                (known, value) if ACTIVITY.contains(&known) => misshapen(name.as_ref(), &value, errors),
                (_, value) => unknown(name.as_ref(), &value, "#[activity]", ACTIVITY, errors),
            }
        }
        args.queueing.check(args.task_queue.is_some(), errors);
        if let (Some(queue), Some(_)) = (&args.task_queue, &args.transactional) {
            let help = "it runs in the worker that runs the workflow, on that worker's database: leave \
                        `task_queue` out";
            errors.add(Code::Value, queue, "a transactional activity has no task queue", help);
        }
        if let (Some(word), Some(_)) = (&args.complete_later, &args.transactional) {
            let help = "its result commits together with its SQL, while the body runs: leave one of the words out, or \
                        do the SQL in an activity of its own";
            errors.at(Code::Value, word.span(), "a transactional activity cannot be completed later", help);
        }
        args
    }

    fn timeout(&mut self, field: &'static str, value: &Expr, errors: &mut Errors) {
        self.timeouts.extend(durations::limit(value, errors).map(|limit| (field, limit)));
    }
}

fn misshapen(name: Option<&Ident>, value: &Value, errors: &mut Errors) {
    let Some(name) = name else { return };
    let help = match name.to_string().as_str() {
        "retry" => "write `retry(max_attempts = 3, initial_interval = \"1s\")`".to_owned(),
        alone @ ("no_probes" | "transactional" | "complete_later") => format!("write `{alone}` alone"),
        other => format!("write `{other} = ..`"),
    };
    let message = match value {
        Value::None => format!("`{name}` needs a value"),
        _ => format!("`{name}` is written in another form"),
    };
    errors.at(Code::Value, name.span(), &message, &help);
}

const RETRY: &[&str] = &["initial_interval", "backoff_coefficient", "max_interval", "max_attempts"];

/// The fields of `retry(..)`, with their values.
fn retry(list: TokenStream, errors: &mut Errors) -> Vec<(&'static str, TokenStream)> {
    let mut fields = Vec::new();
    for Arg { name, value } in parse(list, "write `retry(max_attempts = 3)`", errors) {
        let text = name.as_ref().map(ToString::to_string).unwrap_or_default();
        let field = match (text.as_str(), &value) {
            ("initial_interval", Value::Expr(value)) => {
                durations::wait(value, errors).map(|value| ("initial_interval", value))
            }
            ("max_interval", Value::Expr(value)) => durations::wait(value, errors)
                .map(|value| ("max_interval", quote!(::core::option::Option::Some(#value)))),
            ("backoff_coefficient", Value::Expr(value)) => Some(("backoff_coefficient", quote!(#value))),
            ("max_attempts", Value::Expr(value)) => Some(("max_attempts", quote!(#value))),
            (known, value) if RETRY.contains(&known) => {
                misshapen(name.as_ref(), value, errors);
                None
            }
            _ => {
                unknown(name.as_ref(), &value, "retry(..)", RETRY, errors);
                None
            }
        };
        fields.extend(field);
    }
    fields
}

fn cancellation(value: &Expr, errors: &mut Errors) -> Option<Ident> {
    let variant = match text(value).map(LitStr::value).as_deref() {
        Some("try_cancel") => "TryCancel",
        Some("wait") => "WaitCancellationCompleted",
        Some("abandon") => "Abandon",
        _ => {
            let help = "write `\"try_cancel\"`, `\"wait\"` or `\"abandon\"`";
            errors.add(Code::Value, value, "not a cancellation type", help);
            return None;
        }
    };
    Some(Ident::new(variant, proc_macro2::Span::call_site()))
}

/// The arguments of `#[workflow]`.
#[derive(Default)]
pub(crate) struct WorkflowArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    /// Turns the value probes off in its bodies.
    pub(crate) no_probes: bool,
    /// How its runs are started.
    pub(crate) start: StartArgs,
    /// The validator of an update.
    pub(crate) validate: Option<Expr>,
}

/// What `#[workflow]` takes.
const WORKFLOW: &[&str] = &[
    "name",
    "task_queue",
    "run_timeout",
    "execution_timeout",
    "retry",
    "retry_if",
    "retry_after",
    "crate",
    "no_probes",
];

impl WorkflowArgs {
    pub(crate) fn parse(tokens: TokenStream, attribute: &str, errors: &mut Errors) -> Self {
        let known: &[&str] = match attribute {
            "#[run]" | "#[init]" => &[],
            "#[workflow]" => WORKFLOW,
            "#[update]" => &["name", "validate"],
            _ => &["name"],
        };
        let mut args = Self::default();
        let form = match known {
            [] => format!("`{attribute}` takes no arguments"),
            known => format!("it takes {}", suggest::list(known)),
        };
        for Arg { name, value } in parse(tokens, &form, errors) {
            let text = name.as_ref().map(ToString::to_string).unwrap_or_default();
            match (text.as_str(), value) {
                ("name", Value::Expr(value)) if known.contains(&"name") => {
                    args.name = name_text(&value, errors)
                }
                ("validate", Value::Expr(value)) if known.contains(&"validate") => {
                    args.validate = validator(value, errors);
                }
                ("crate", Value::Expr(value)) if known.contains(&"crate") => {
                    args.krate = crate_path(&value, errors);
                }
                ("no_probes", Value::None) if known.contains(&"no_probes") => args.no_probes = true,
                ("task_queue", Value::Expr(value)) if known.contains(&"task_queue") => {
                    args.start.task_queue(&value, errors);
                }
                ("run_timeout", Value::Expr(value)) if known.contains(&"run_timeout") => {
                    args.start.timeout("run_timeout", &value, errors);
                }
                ("execution_timeout", Value::Expr(value)) if known.contains(&"execution_timeout") => {
                    args.start.timeout("execution_timeout", &value, errors);
                }
                ("retry", Value::List(list)) if known.contains(&"retry") => {
                    args.start.retry = Some(retry(list, errors));
                }
                ("retry_if", Value::Expr(value)) if known.contains(&"retry_if") => {
                    args.start.retry_if = Some(value);
                }
                ("retry_after", Value::Expr(value)) if known.contains(&"retry_after") => {
                    args.start.retry_after = Some(value);
                }
                (shape, value) if known.contains(&shape) => misshapen(name.as_ref(), &value, errors),
                (_, value) => unknown(name.as_ref(), &value, attribute, known, errors),
            }
        }
        args
    }
}

/// A path to a function. A bare name would be looked for outside of the `impl`, and not be found.
fn validator(value: Expr, errors: &mut Errors) -> Option<Expr> {
    let help = |name: &str| format!("write a path to a method of the workflow: `validate = Self::{name}`");
    match &value {
        Expr::Path(path) if path.path.segments.len() > 1 || path.qself.is_some() => Some(value),
        Expr::Path(path) => {
            let name = path.path.segments.last().map_or_else(String::new, |name| name.ident.to_string());
            errors.add(Code::Value, &value, "a validator is a method of the workflow", &help(&name));
            None
        }
        _ => {
            errors.add(Code::Value, &value, "not a validator", &help("may_add"));
            None
        }
    }
}

/// The arguments of `#[workflow::helper]` and `#[workflow::deterministic("why")]`.
#[derive(Default)]
pub(crate) struct HelperArgs {
    /// `state`: `self` is the workflow's state, although this is not the `#[workflow] impl`.
    pub(crate) state: Option<Ident>,
    /// Turns the value probes off in its bodies.
    pub(crate) no_probes: bool,
    pub(crate) krate: Option<Path>,
}

impl HelperArgs {
    pub(crate) fn parse(tokens: TokenStream, attribute: &str, errors: &mut Errors) -> Self {
        Self::parse_at(tokens, attribute, &TokenStream::new(), errors)
    }

    /// If an argument is missing, `at` is underlined; if `at` is empty, the attribute itself.
    pub(crate) fn parse_at(
        tokens: TokenStream,
        attribute: &str,
        at: &impl ToTokens,
        errors: &mut Errors,
    ) -> Self {
        const KNOWN: &[&str] = &["state", "no_probes", "crate"];
        let form = format!("it takes {}", suggest::list(KNOWN));
        let needs_reason = attribute == "#[workflow::deterministic]";
        let (mut args, mut reason) = (Self::default(), None);
        for Arg { name, value } in parse(tokens, &form, errors) {
            let text = name.as_ref().map(ToString::to_string).unwrap_or_default();
            match (text.as_str(), value) {
                ("", Value::Expr(value)) if needs_reason && reason.is_none() => reason = Some(value),
                ("state", Value::None) => args.state = name,
                ("no_probes", Value::None) => args.no_probes = true,
                ("no_probes", value) => misshapen(name.as_ref(), &value, errors),
                ("crate", Value::Expr(value)) => args.krate = crate_path(&value, errors),
                ("crate", value) => misshapen(name.as_ref(), &value, errors),
                (_, value) => unknown(name.as_ref(), &value, attribute, KNOWN, errors),
            }
        }
        if needs_reason && !reason.as_ref().is_some_and(is_reason) {
            let help =
                "write why every run gives the same: `#[workflow::deterministic(\"a pure table lookup\")]`";
            let at = reason.map_or_else(|| at.to_token_stream(), |reason| reason.to_token_stream());
            errors.add(Code::Value, &at, &format!("`{attribute}` needs a reason"), help);
        }
        args
    }
}
