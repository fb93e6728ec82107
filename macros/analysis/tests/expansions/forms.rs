//! The forms of awaits and of `self`, each as the macro rewrites it.

use super::{expand, run_body, show};
use proc_macro2::TokenStream;

#[test]
fn activity() {
    insta::assert_snapshot!(show(&expand(
        "activity",
        "start_to_close = \"30s\", retry(max_attempts = 3), retry_if = |e| e.transient()",
        "/// Charges a card.\n\
         #[tracing::instrument] pub async fn charge(payment: Payment, cents: u64) -> Res<Receipt> { \
         pay(payment, cents).await }",
    )));
}

#[test]
fn workflow_limits() {
    let args = "task_queue = \"reports\", run_timeout = \"1d\", execution_timeout = LIMIT";
    let shown = show(&expand("workflow", args, "async fn report(day: u32) {}"));
    for written in ["\"reports\"", "86400000u64", "= LIMIT;"] {
        assert!(shown.contains(written), "`{written}` is missing from\n{shown}");
    }
    for option in ["task_queue", "run_timeout", "execution_timeout"] {
        assert!(shown.contains(&format!("options.{option} = ")), "{shown}");
    }
}

#[test]
fn workflow_retries() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let has = |args, item, written| {
        let shown = show(&expand("workflow", args, item));
        assert!(squeezed(&shown).contains(&squeezed(written)), "`{written}` is missing from\n{shown}");
    };
    let policy = "let retry = options.retry.get_or_insert_with(";
    let args = "retry(max_attempts = 3, initial_interval = \"1m\"), retry_if = |e| e.transient(), \
                retry_after = Bad::wait";
    for item in ["async fn report(day: u32) -> Res<u32> {}", "impl Report { #[run] async fn run(&self) {} }"]
    {
        for written in [
            policy,
            "retry.max_attempts = 3;",
            "core::time::Duration::from_millis(60000u64);",
            "fn retryable(",
            "|e| e.transient()",
            "fn retry_after(",
            "Bad::wait",
        ] {
            has(args, item, written);
        }
    }
    has("retry()", "async fn report() -> Res<u32> {}", policy);
}

#[test]
fn activity_elsewhere() {
    insta::assert_snapshot!(show(&expand(
        "activity",
        "task_queue = \"gpu\"",
        "async fn transcode(clip: Clip) -> Clip { clip }",
    )));
}

#[test]
fn activity_with_limits() {
    let expanded = show(&expand(
        "activity",
        "task_queue = \"stripe\", most = MOST, rate = \"100/m\", burst = 20, priority = \"high\"",
        "async fn charge(cents: u32) -> u32 { cents }",
    ));
    for setting in [
        "limits.most = core::option::Option::Some(MOST",
        "Rate::per_minute(100u32)",
        "limits.burst = core::option::Option::Some(20",
        "Priority::High",
    ] {
        let packed = |text: &str| text.split_whitespace().collect::<String>();
        assert!(packed(&expanded).contains(&packed(setting)), "{setting}: {expanded}");
    }
}

#[test]
fn activity_methods() {
    insta::assert_snapshot!(show(&expand(
        "activity",
        "",
        "impl Payments { /// Refunds.\n \
         pub async fn refund(&self, r: Receipt) -> Res<()> { self.api.refund(r).await } fn plain(&self) {} }",
    )));
}

#[test]
fn transactional_activity() {
    insta::assert_snapshot!(show(&expand(
        "activity",
        "transactional, start_to_close = \"10s\"",
        "/// Debits.\npub async fn debit(tx: &mut sqlx::PgConnection, account: i64, cents: i64) -> Res<i64> \
         { book(tx, account, cents).await }",
    )));
}

#[test]
fn transactional_methods() {
    insta::assert_snapshot!(show(&expand(
        "activity",
        "",
        "impl Bank { #[activity(transactional)] async fn debit(&self, tx: &mut PgConnection, cents: i64) -> \
         Res<()> { self.book(tx, cents).await } async fn tell(&self) {} }",
    )));
}

#[test]
fn free_workflow() {
    insta::assert_snapshot!(show(&expand(
        "workflow",
        "name = \"nightly\"",
        "/// Reports.\npub async fn report(day: Date) -> Result<Url, Failure> { let rows = \
         load(day).await?; Ok(publish(rows).await?) }",
    )));
}

#[test]
fn workflow_with_handlers() {
    insta::assert_snapshot!(show(&expand(
        "workflow",
        "",
        "impl Order {
            #[run] pub async fn run(&mut self, mut order: Items) -> Result<u32, Failed> { order.sort(); Ok(self.n) }
            #[signal] fn approve(&mut self, yes: bool) { self.yes = yes; }
            #[signal(name = \"late\")] async fn hurry(&mut self) { self.step(1).await; }
            #[query] fn status(&self) -> Status { self.status }
            async fn step(&mut self, n: u32) -> u32 { self.n += n; nap().await; self.n }
            fn plain(&mut self) { self.n = 0; }
        }",
    )));
}

#[test]
fn workflow_with_init() {
    insta::assert_snapshot!(show(&expand(
        "workflow",
        "",
        "impl Order {
            /// Counted.
            #[init] fn new(items: Items, mut by: Times) -> Self { by.add(1); Self { n: items.len() * by } }
            #[run] async fn run(&mut self, _: Items, by: u32) -> u32 { self.n * by }
        }",
    )));
}

#[test]
fn helpers() {
    insta::assert_snapshot!(show(&expand(
        "helper",
        "",
        "pub async fn twice<F, T>(f: F, name: &str, also: impl Into<String>) -> Vec<T> where F: Fn() -> T { \
         nap(name).await; vec![f(), f()] }",
    )));
}

#[test]
fn helpers_of_values_and_of_the_state() {
    let value = "pub async fn quote(&mut self, sku: &str) -> u32 { nap().await; self.rate }";
    let state = "async fn elsewhere(&mut self, sku: &str) -> u32 { nap().await; self.rate }";
    let in_impl = |method: &str| format!("impl<T: Clone> Stack<T> {{ {method} }}");
    let shown = [
        show(&expand("helper", "", &in_impl(&format!("#[workflow::helper] {value}")))),
        show(&expand("helper", "state", &in_impl(state))),
    ];
    insta::assert_snapshot!(shown.join("\n// state\n"));
}

#[test]
fn helpers_in_a_trait() {
    insta::assert_snapshot!(show(&expand(
        "helper",
        "",
        "trait Shipping { const N: u32; async fn ship(&mut self, to: &str) -> u32; fn plan(&self) -> impl \
         WorkflowFuture<Output = u32>; async fn twice(&mut self) { self.ship(A).await; self.ship(B).await; \
         } }",
    )));
}

#[test]
fn await_and_question_mark() {
    insta::assert_snapshot!(run_body("self.n += 1; let x = charge(self.p.clone()).await?; x"));
}

#[test]
fn hoisting() {
    insta::assert_snapshot!(run_body(
        "self.items.push(a().await?);
         self.map.insert(key(), k, a().await?);
         f(&mut self.x, a().await?);
         self.name += &a().await?;
         println!(\"{} {}\", self.x, a().await);
         self.items[0] = a().await?;
         x + a().await? + self.y;
         self.iter().push(a().await);
         local.push(a().await);"
    ));
}

#[test]
fn async_blocks_and_closures() {
    insta::assert_snapshot!(run_body(
        "let one = async { self.n += 1; nap().await; };
         let two = async move { other().await };
         let make = move |k: u32| async move { self.step(k).await };
         let plain = |k: u32| self.n += k;
         workflow::spawn(async move { self.n = 1; });"
    ));
}

#[test]
fn macros() {
    insta::assert_snapshot!(run_body(
        "workflow::join!(self.a(), async { self.b().await });
         let (a, b) = workflow::try_join!(charge(x), label(y))?;
         workflow::until!(self.approved.is_some() && n > 3).timeout(days(3)).await;
         json!({ \"n\": self.n });
         vec![self.n; 3];"
    ));
}

#[test]
fn select() {
    insta::assert_snapshot!(run_body(
        "workflow::select! {
            Ok(receipt) = charge(self.p.clone()), if self.n > 0 => { self.n = 1; nap().await; }
            _ = workflow::sleep(secs(1)) => return 1,
            else => {}
        }"
    ));
}

#[test]
fn graph() {
    let item = "async fn order(n: u32) -> Result<u32, E> {
        let stock = reserve(n).await?;
        if stock.low { return Err(E::Low); }
        for item in stock.items { match ship(item).await { Ok(_) => continue, Err(_) => break } }
        workflow::select! { a = charge(n) => { ping().await; } _ = nap() => {} }
        Ok(done().await)
    }";
    let shown = show(&expand("workflow", "", item));
    let start = shown.find("const GRAPHS").expect("a graph");
    let end = shown.find("fn init").expect("the next item");
    insta::assert_snapshot!(&shown[start..end]);
}

#[test]
fn probes() {
    insta::assert_snapshot!(run_body(
        "for item in &self.items { self.n += item.cents; }
        let mut keys: Vec<_> = self.map.keys().collect(); keys.sort();
        let most = self.map.values().max();
        self.list.extend(self.map.keys());
        let took = started(self.n).elapsed();
        let names = self.maps.iter().map(|map| map.keys().next());
        if took > most { return 1 } else { names.count() }",
    ));
}

#[test]
fn probes_of_a_query() {
    insta::assert_snapshot!(show(&expand(
        "helper",
        "",
        "fn first(map: &Ids) -> u32 { for id in map { return *id; } 0 }"
    )));
}

#[test]
fn no_probes() {
    let item = "fn first(map: &Ids) -> u32 { for id in map { return *id; } 0 }";
    let plain: TokenStream = item.parse().expect("tokens");
    // Only clippy's levels come before it.
    assert!(show(&expand("helper", "no_probes", item)).ends_with(&show(&plain)));
    assert!(show(&expand("deterministic", "\"fixed seed\"", item)).ends_with(&show(&plain)));
}
