//! The attributes' arguments: every argument is reported or accepted, and an accepted one has the written
//! value.

use super::cases::cases;
use super::expand_tokens;
use super::mutations::{check, pieces, told};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use quote::ToTokens;

const ITEM: &str = "async fn charge(n: u32) -> u32 { n }";

fn activity(args: &str) -> proc_macro2::TokenStream {
    expand_tokens("activity", args.parse().expect("tokens"), ITEM.parse().expect("tokens"))
}

const NAMES: &str = "name  crate  start_to_close  schedule_to_close  schedule_to_start  heartbeat_timeout  retry
    retry_if  retry_after  cancellation  transactional  complete_later  task_queue  most  rate  burst  priority
    state  no_probes  max_attempts  initial_interval  backoff_coefficient  max_interval  start_to_clsoe  r#crate
    r#name  self  ü  _";

const VALUES: &str = r##""99999999999999999999d"  "18446744073709551615ms"  "18446744073709551616ms"  "213503982335d"  "-1s"
    "1.5h"  "٣s"  "1s"suffix  b"1s"  c"1s"  30  -1  1e999  f64::NAN  true  abide  ::a::b  <X as Y>::Z  a::<T>::b  |e| e
    { x }  x.await  "wait"  ""  "a b"  "10/s"  "0/h"  "high"  "self"  "crate::x"  "1a"  'x'  (1, 2)  async { 1 }  return  x = y  u32::MAX + 1"##;

/// A Rust literal with this text.
fn literal(text: &str) -> String {
    syn::LitStr::new(text, proc_macro2::Span::call_site()).to_token_stream().to_string()
}

fn nonsense() -> impl Strategy<Value = String> {
    let name = select(pieces(NAMES));
    let value = prop_oneof![
        "[0-9]{0,22}[a-zµ ]{0,3}[0-9]{0,4}[smhd]{0,2}".prop_map(|text| literal(&text)),
        any::<String>().prop_map(|text| literal(&text)),
        select(pieces(VALUES)),
    ];
    let flat = (name.clone(), value.clone(), 0..6_u8).prop_map(|(name, value, form)| match form {
        0 => name,
        1 => value,
        2 => format!("{name}({value})"),
        3 => format!("{name} {value}"),
        _ => format!("{name} = {value}"),
    });
    let retry =
        proptest::collection::vec(flat.clone(), 0..4).prop_map(|list| format!("retry({})", list.join(", ")));
    proptest::collection::vec(prop_oneof![4 => flat, 1 => retry], 0..5).prop_map(|list| list.join(", "))
}

/// A nonzero duration in any notation, and its milliseconds.
fn duration() -> impl Strategy<Value = (String, u64)> {
    const UNITS: &[(&str, u64)] =
        &[("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let part = (any::<u64>(), 0_u32..64, select(UNITS), select(vec!["", " "]), select(vec!["", " "]));
    proptest::collection::vec(part, 1..5).prop_map(|parts| {
        let (mut text, mut sum) = (String::new(), 0_u64);
        for (number, bits, (unit, millis), before, after) in parts {
            // The number of bits is random, so that small and large numbers are equally frequent.
            let number = number >> bits;
            let Some(more) = number.checked_mul(millis).and_then(|more| sum.checked_add(more)) else {
                continue;
            };
            sum = more;
            text += &format!("{number}{before}{unit}{after}");
        }
        if sum == 0 { ("1ms".to_owned(), 1) } else { (text, sum) }
    })
}

/// Arguments in random order, each with the statement that its value becomes.
fn settings() -> impl Strategy<Value = Vec<(String, String)>> {
    let time = |name: &'static str| {
        duration().prop_map(move |(text, ms)| {
            let value = format!("::core::option::Option::Some(::core::time::Duration::from_millis({ms}u64))");
            (format!("{name} = {}", literal(&text)), format!("options.{name} = {value};"))
        })
    };
    let name = "[^\0]{1,200}".prop_map(|name| {
        let name = literal(&name);
        (format!("name = {name}"), format!("const NAME: &'static str = {name};"))
    });
    let queue = "[^\0]{1,50}".prop_map(|queue| {
        let queue = literal(&queue);
        let value = format!("::core::option::Option::Some(::core::convert::Into::into({queue}))");
        (format!("task_queue = {queue}"), format!("options.task_queue = {value};"))
    });
    let kinds = [("try_cancel", "TryCancel"), ("wait", "WaitCancellationCompleted"), ("abandon", "Abandon")];
    let cancellation = select(kinds.to_vec()).prop_map(|(written, kind)| {
        let value = format!("options.cancellation = ::abide::__private::CancellationType::{kind};");
        (format!("cancellation = \"{written}\""), value)
    });
    let retry = (duration(), any::<u32>()).prop_map(|((text, ms), attempts)| {
        let value = format!(
            "options.retry.max_attempts = {attempts}; \
             options.retry.initial_interval = ::core::time::Duration::from_millis({ms}u64);"
        );
        (format!("retry(max_attempts = {attempts}, initial_interval = {})", literal(&text)), value)
    });
    let times = (
        time("start_to_close"),
        time("schedule_to_close"),
        time("schedule_to_start"),
        time("heartbeat_timeout"),
    );
    (times, name, queue, cancellation, retry)
        .prop_map(|((a, b, c, h), d, e, f, g)| vec![a, b, c, d, e, f, g, h])
        .prop_shuffle()
        .prop_flat_map(|all| (0..=all.len()).prop_flat_map(move |n| subsequence(all.clone(), n)))
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn nonsense_is_told(args in nonsense(), which in select(super::total::ATTRIBUTES)) {
        let Ok(args) = args.parse() else { return Ok(()) };
        check(expand_tokens(which, args, ITEM.parse().expect("tokens")))?;
    }

    #[test]
    fn a_setting_is_what_was_written(settings in settings()) {
        let args: Vec<_> = settings.iter().map(|(written, _)| written.as_str()).collect();
        let shown = squeezed(&activity(&args.join(", ")).to_string());
        for (_, value) in &settings {
            prop_assert!(shown.contains(&squeezed(value)), "{value}\n{shown}");
        }
        prop_assert_eq!(shown.contains("options."), settings.iter().any(|(_, value)| value.contains("options.")));
    }

    #[test]
    fn an_argument_written_twice_is_told(settings in settings(), at in any::<proptest::sample::Index>()) {
        if settings.is_empty() {
            return Ok(());
        }
        let mut args: Vec<_> = settings.iter().map(|(written, _)| written.as_str()).collect();
        args.push(settings[at.index(settings.len())].0.as_str());
        let mut texts = Vec::new();
        told(activity(&args.join(", ")), &mut texts);
        prop_assert_eq!(texts.len(), 1);
        prop_assert!(texts[0].contains("is written twice") && texts[0].contains("AB0304"), "{}", texts[0]);
    }
}
