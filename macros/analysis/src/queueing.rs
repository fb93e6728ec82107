//! The arguments of `#[activity]` about its task queue: `most`, `rate`, `burst`, `priority`.

use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::literals::text;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Expr, ExprLit, Lit};

/// See the module documentation.
#[derive(Default)]
pub(crate) struct QueueArgs {
    most: Option<(Ident, TokenStream)>,
    rate: Option<(Ident, Rate)>,
    burst: Option<(Ident, TokenStream)>,
    /// The variant of `Priority`.
    priority: Option<Ident>,
}

/// So many in a unit of time, as the name of a constructor.
struct Rate {
    count: u32,
    per: &'static str,
}

impl QueueArgs {
    /// Takes an argument of one of these names.
    pub(crate) fn add(&mut self, name: &Ident, value: &Expr, errors: &mut Errors) {
        match name.to_string().as_str() {
            "most" => {
                let help = "write how many may run at once in all workers, at least 1: `most = 5`";
                self.most =
                    number(value, "not a number of attempts", help, errors).map(|n| (name.clone(), n));
            }
            "burst" => {
                let help = "write how many may begin at once after a rest, at least 1: `burst = 20`";
                self.burst = number(value, "not a burst", help, errors).map(|n| (name.clone(), n));
            }
            "rate" => self.rate = rate(value, errors).map(|rate| (name.clone(), rate)),
            _ => self.priority = priority(value, errors),
        }
    }

    /// Limits need a task queue, and a burst needs a rate.
    pub(crate) fn check(&self, has_queue: bool, errors: &mut Errors) {
        if let (Some((name, _)), None) = (&self.burst, &self.rate) {
            let help = "write the rate beside it: `rate = \"10/s\", burst = 20`";
            errors.at(Code::Value, name.span(), "`burst` without a `rate`", help);
        }
        let names = self.most.iter().map(|(name, _)| name).chain(self.rate.iter().map(|(name, _)| name));
        for name in names.filter(|_| !has_queue) {
            let message = format!("`{name}` without a task queue");
            let help = "it holds for all workers of a task queue together: name one, `task_queue = \"stripe\"`; a \
                        limit of one worker goes to the worker: `worker.limit(charge, 4)`";
            errors.at(Code::QueueOptions, name.span(), &message, help);
        }
    }

    /// The settings of `options`.
    pub(crate) fn settings(&self, private: &Private) -> Vec<TokenStream> {
        let some = |field: &str, value: TokenStream| {
            let field = format_ident!("{}", field);
            quote!(options.queue_options_mut().limits.#field = ::core::option::Option::Some(#value);)
        };
        let most = self.most.iter().map(|(_, most)| some("most", most.clone()));
        let rate = self.rate.iter().map(|(_, Rate { count, per })| {
            let per = format_ident!("{}", per);
            some("rate", quote!(#private::Rate::#per(#count)))
        });
        let burst = self.burst.iter().map(|(_, burst)| some("burst", burst.clone()));
        let priority = self.priority.iter().map(|variant| {
            quote!(options.queue_options_mut().priority = ::core::option::Option::Some(#private::Priority::#variant);)
        });
        most.chain(rate).chain(burst).chain(priority).collect()
    }
}

/// A number that is not zero, or the name of a constant `u32`.
fn number(value: &Expr, wrong: &str, help: &str, errors: &mut Errors) -> Option<TokenStream> {
    let is_number = match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse::<u32>().is_ok_and(|n| n > 0),
        Expr::Path(_) => true,
        _ => false,
    };
    if !is_number {
        errors.add(Code::Value, value, wrong, help);
    }
    is_number.then(|| value.to_token_stream())
}

fn rate(value: &Expr, errors: &mut Errors) -> Option<Rate> {
    let found = text(value).and_then(|text| parse(&text.value()));
    if found.is_none() {
        let help = "write how many may begin in a second, a minute or an hour, at least 1: \"10/s\", \"100/m\", \
                    \"1000/h\"";
        errors.add(Code::Value, value, "not a rate", help);
    }
    found
}

fn parse(text: &str) -> Option<Rate> {
    let (number, unit) = text.split_once('/')?;
    let per = match unit.trim() {
        "s" => "per_second",
        "m" | "min" => "per_minute",
        "h" => "per_hour",
        _ => return None,
    };
    let number = number.trim();
    let count = number.parse().ok().filter(|count| *count > 0 && !number.starts_with('+'))?;
    Some(Rate { count, per })
}

fn priority(value: &Expr, errors: &mut Errors) -> Option<Ident> {
    let variant = match text(value).map(syn::LitStr::value).as_deref() {
        Some("highest") => "Highest",
        Some("high") => "High",
        Some("normal") => "Normal",
        Some("low") => "Low",
        Some("lowest") => "Lowest",
        _ => {
            let help = "write `\"highest\"`, `\"high\"`, `\"normal\"`, `\"low\"` or `\"lowest\"`";
            errors.add(Code::Value, value, "not a priority", help);
            return None;
        }
    };
    Some(Ident::new(variant, proc_macro2::Span::call_site()))
}

#[cfg(test)]
mod tests {
    use super::{Rate, parse};

    #[test]
    fn rates() {
        let of = |text| parse(text).map(|Rate { count, per }| (count, per));
        assert_eq!(of("10/s"), Some((10, "per_second")));
        assert_eq!(of(" 100 / min "), Some((100, "per_minute")));
        assert_eq!(of("1000/h"), Some((1_000, "per_hour")));
        for bad in ["", "10", "/s", "10/", "0/s", "10/d", "1.5/s", "-1/s", "+1/s", "9999999999/s", "10 per s"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
