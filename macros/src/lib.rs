//! The attributes of [abide](https://docs.rs/abide), durable execution for Rust. Use them through `abide`, which
//! re-exports them; what they do lives in `abide-analysis`.

use proc_macro::TokenStream;

/// Makes a function, or the async methods of an `impl` block, activities: code with effects, which a worker runs, at
/// least once, and whose result the workflow's history keeps. A plain `fn` may block: it runs on the blocking pool.
///
/// ```ignore
/// #[activity(start_to_close = "30s", retry(max_attempts = 3))]
/// async fn charge(payment: Payment) -> Result<Receipt, PaymentError> { .. }
///
/// #[activity]
/// impl Payments {
///     async fn refund(&self, receipt: Receipt) -> Result<(), PaymentError> { .. }
///
///     #[activity(start_to_close = "5m")] // a plain method is one if it says so
///     fn render(&self, receipt: Receipt) -> Vec<u8> { .. }
/// }
///
/// #[activity]
/// fn digest(file: PathBuf) -> Result<String, Failure> { .. } // may block
/// ```
///
/// In a workflow it is called like a function: `charge(payment).await?`. In a test, `charge::body(payment).await` and
/// `payments.refund(receipt).await` run the body. Arguments and results are serde types that own their data; a `HashSet`
/// is refused (AB0115).
///
/// Arguments, all optional:
///
/// | argument | meaning | default |
/// |---|---|---|
/// | `name = "charge"` | its name in history | `charge`, `Payments.refund` |
/// | `start_to_close = "30s"` | limit of one attempt | none |
/// | `schedule_to_close = "1h"` | limit of all attempts together | none |
/// | `schedule_to_start = "5m"` | limit of the wait for a slot, or for a worker of its task queue | none |
/// | `retry(initial_interval = "1s", backoff_coefficient = 2.0, max_interval = "100s", max_attempts = 0)` | when failed attempts are repeated, after at least 1 ms; 0: without limit | as shown |
/// | `retry_if = expr` | a `Fn(&E) -> bool`: which errors are worth another attempt | all |
/// | `retry_after = expr` | a `Fn(&E) -> Option<Duration>`: the wait that an error asks for, from 1 ms | the policy's |
/// | `cancellation = "try_cancel"` | or `"wait"`, `"abandon"`: what happens when the workflow drops the call | `"try_cancel"` |
/// | `task_queue = "gpu"` | whose workers run it, in whatever process | none: the worker that runs the workflow |
/// | `transactional` | its SQL commits with its result: the first argument is the connection, `tx: &mut sqlx::PgConnection` or `tx: &mut sqlx::SqliteConnection`, and no part of the call | no |
/// | `crate = path` | where abide is | found in `Cargo.toml` |
///
/// Durations are texts, `"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"3d"`, `"1m30s"`, or the name of a constant:
/// `start_to_close = LIMIT` with `const LIMIT: Duration = mins(5);`. `max_attempts` and `backoff_coefficient` take any expression.
#[proc_macro_attribute]
pub fn activity(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::activity(args.into(), item.into()).into()
}

/// Makes an `impl` block, or a free `async fn`, a workflow: code that survives crashes, restarts and months of waiting.
///
/// ```ignore
/// #[derive(Default)]
/// struct OrderWorkflow { approved: Option<bool> }
///
/// #[workflow]
/// impl OrderWorkflow {
///     #[run]
///     async fn run(&mut self, order: Order) -> Result<Receipt, OrderFailed> {
///         workflow::until!(self.approved.is_some()).await;
///         Ok(charge(order.payment).await?)
///     }
///     #[signal] fn approve(&mut self, yes: bool) { self.approved = Some(yes); }
///     #[query]  fn is_approved(&self) -> Option<bool> { self.approved }
/// }
///
/// #[workflow]
/// async fn nightly_report(day: Date) -> Result<Url, Failure> { .. }
/// ```
///
/// The state is there before anything is delivered: `Default::default()`, or what an [`#[init]`](macro@init) makes of the
/// input. `self` is used plainly: at each `.await` the macro parks the state, so that signals and queries reach it, and takes it
/// back afterwards. Only workflow futures can be awaited. Other async methods of the block are helpers.
///
/// Arguments: `name = ".."` (its type in history; default: the type's or function's name), `crate = path`, `no_probes`.
///
/// # What is refused by its type
///
/// In every body, expressions are asked for their *inferred* type, so that an alias, a field or another crate hides
/// nothing:
///
/// * iterating a `HashMap` or `HashSet`, by `for`, `iter()`, `keys()`, `drain()`, `difference(..)` and the like (AB0115).
///   Lookups, `insert`, `entry`, `len`, `retain` are fine, and so is what forgets the order: `.count()`, `.all(..)`,
///   `.any(..)`, `.min()`, `.max()`, `.sum::<u64>()`, `collect` into a `BTreeMap`, `BTreeSet`, `BinaryHeap`, `HashMap` or
///   `HashSet` (by turbofish, by the type of the `let`, or as the last expression of a function that
///   returns one), `extend` of such a collection, and
///   `let mut v: Vec<_> = ..collect();` where the next statement sorts `v`;
/// * an `Instant` or a `SystemTime`, alone or in an `Option` or `Result`, that a function or method gives (AB0101);
/// * a `HashSet` as an argument or a result of an activity, workflow, signal or query (AB0115): it is written to history
///   as a list, in another order each time. A `HashMap` is fine there.
///
/// Not seen: a map that is printed with `{:?}`; a map of another kind (`hashbrown`, `dashmap`); an iterator behind
/// `impl Iterator` or `dyn Iterator`; a set in a field of a type of yours, or inside of an alias
/// (`type Lists = Vec<HashSet<u32>>`); the arguments of `assert!` and of macros of your own; in closures and `async`
/// blocks, a clock value on which no method is called at once; methods of a trait's `impl`; bodies whose last expression
/// bears an attribute.
///
/// `no_probes` turns it off, for a workflow whose code the probes' expansion would break, or whose hasher is known to
/// give the same order always. `#[workflow::helper(no_probes)]` does so for one method or function.
#[proc_macro_attribute]
pub fn workflow(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::workflow(args.into(), item.into()).into()
}

/// Marks code that workflows call: a function, a method, or everything in an `impl`, a `trait` or an inline `mod`.
///
/// ```ignore
/// impl Pricing {
///     #[workflow::helper]
///     async fn quote(&self, sku: &str) -> Result<u32, CallError> { .. } // `self` is a value on the workflow's stack
/// }
///
/// #[workflow::helper]
/// trait Shipping {
///     async fn ship(&mut self, address: &str) -> Receipt; // becomes `-> impl WorkflowFuture<Output = Receipt>`
/// }
/// ```
///
/// An async one can then be awaited in workflows, and only workflow futures can be awaited in it. It keeps generics,
/// lifetimes and receivers of every kind, and its future borrows what it is given, as that of any `async fn`. A plain
/// function that gives a future, `-> impl WorkflowFuture<Output = T>`, has its `async` blocks made workflow futures.
/// In a marked block, activities, workflows and tests are left alone.
///
/// A value that lies in the workflow's state is taken out first, since its future would hold the state across the await:
/// `let pricing = std::mem::take(&mut self.pricing);`.
///
/// The methods of a `#[workflow] impl` need no mark. Where a workflow's own methods stand in a second `impl`, `self` is
/// its state, which awaits hand over: write `#[workflow::helper(state)]` there.
///
/// Arguments: `state`, `crate = path`, `no_probes` (see [`macro@workflow`]).
#[proc_macro_attribute]
pub fn helper(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::helper(args.into(), item.into()).into()
}

/// As [`macro@helper`], for code that its author vouches for: `#[workflow::deterministic("why")]`. The reason is a text
/// that says something; tools list it. Nothing in it is checked but its awaits.
#[proc_macro_attribute]
pub fn deterministic(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::deterministic(args.into(), item.into()).into()
}

/// Marks the body of a workflow, in an `impl` block marked `#[workflow]`: `async fn run(&mut self, ..)`.
#[proc_macro_attribute]
pub fn run(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("run", args.into(), item.into()).into()
}

/// Marks the function that makes a workflow's state from its input, in an `impl` block marked `#[workflow]`. It is given
/// the arguments of `#[run]`, and returns `Self`. Without one, the state is `Default::default()`; where there are both,
/// `#[init]` is called.
///
/// ```ignore
/// struct OrderWorkflow { order: Order, status: Status } // no `Default`: there is no order by default
///
/// #[workflow]
/// impl OrderWorkflow {
///     #[init]
///     fn new(order: Order) -> Self { Self { order, status: Status::New } }
///
///     #[run]
///     async fn run(&mut self, order: Order) -> Result<Receipt, OrderFailed> { .. }
///
///     #[query] fn status(&self) -> Status { self.status }
/// }
/// ```
///
/// It runs at the start and in each replay, before any signal is delivered and before `run` is polled: the first signal
/// meets a whole state, and a query of a run that nobody has begun is answered from it. So it is a plain function of the
/// input: it obeys the rules of workflow code (AB01xx), and `workflow::now()`, `random()`, `info()` and whatever else
/// belongs to a run are for `run` (AB0319). `run` is given arguments of its own, decoded from the same input. A panic in
/// it suspends the run (AB0202), to go on with a fixed build.
#[proc_macro_attribute]
pub fn init(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("init", args.into(), item.into()).into()
}

/// Marks a method, sync or async, that handles a signal, in an `impl` block marked `#[workflow]`. `name = ".."` gives it
/// another name in history.
#[proc_macro_attribute]
pub fn signal(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("signal", args.into(), item.into()).into()
}

/// Marks a method that answers a query from the state, in an `impl` block marked `#[workflow]`. It takes `&self`.
/// `name = ".."` gives it another name for clients.
#[proc_macro_attribute]
pub fn query(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("query", args.into(), item.into()).into()
}
