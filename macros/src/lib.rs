//! The attributes of [abide](https://docs.rs/abide), durable execution for Rust. Use them through `abide`,
//! which re-exports them. Their logic is in `abide-analysis`.

use proc_macro::TokenStream;

/// Makes a function, or the async methods of an `impl` block, activities: code with effects. A worker runs an
/// activity at least once, and the workflow's history stores its result. A plain `fn` may block: it runs on
/// the blocking pool.
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
/// In a workflow, call it like a function: `charge(payment).await?`. In a test, `charge::body(payment).await`
/// and `payments.refund(receipt).await` run the body. Arguments and results are serde types that own their
/// data. A `HashSet` is refused (AB0115).
///
/// Arguments, all optional:
///
/// | argument | meaning | default |
/// |---|---|---|
/// | `name = "charge"` | its name in history | `charge`, `Payments.refund` |
/// | `start_to_close = "30s"` | limit of one attempt | none |
/// | `schedule_to_close = "1h"` | limit of all attempts together | none |
/// | `schedule_to_start = "5m"` | limit of the wait for a slot, or for a worker of its task queue | none |
/// | `heartbeat_timeout = "30s"` | limit of the time between two heartbeats, and before the first | none |
/// | `retry(initial_interval = "1s", backoff_coefficient = 2.0, max_interval = "100s", max_attempts = 0)` | when failed attempts are retried, after at least 1 ms; 0: no limit | as shown |
/// | `retry_if = expr` | a `Fn(&E) -> bool`: whether an error is retried | all |
/// | `retry_after = expr` | a `Fn(&E) -> Option<Duration>`: the wait that an error asks for, from 1 ms | the policy's |
/// | `cancellation = "try_cancel"` | or `"wait"`, `"abandon"`: what happens when the workflow drops the call | `"try_cancel"` |
/// | `task_queue = "gpu"` | the task queue whose workers run it, in any process | none: the worker that runs the workflow |
/// | `most = 5` | how many attempts run at once in all workers of its task queue | any number |
/// | `rate = "10/s"` | how many attempts begin in a second (`/s`), a minute (`/m`) or an hour (`/h`), in all workers of its task queue | any number |
/// | `burst = 20` | how many attempts may begin at once after a rest, with `rate` | what a tenth of a second brings, at least 1 |
/// | `priority = "high"` | which tasks of its task queue go first: `"highest"`, `"high"`, `"normal"`, `"low"`, `"lowest"` | that of the workflow's start |
/// | `complete_later` | its body may end with `activity::complete_later().await`: a client completes it, by its token. It is a task, of the workflow's own queue if it names none | no |
/// | `transactional` | its SQL commits together with its result: the first argument is the connection, `tx: &mut sqlx::PgConnection` or `tx: &mut sqlx::SqliteConnection`, and is not an argument of the call | no |
/// | `crate = path` | the path to abide | found in `Cargo.toml` |
///
/// Durations are texts, `"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"3d"`, `"1m30s"`, or the name of a constant:
/// `start_to_close = LIMIT` with `const LIMIT: Duration = mins(5);`. `max_attempts` and `backoff_coefficient`
/// take any expression.
#[proc_macro_attribute]
pub fn activity(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::activity(args.into(), item.into()).into()
}

/// Makes an `impl` block, or a free `async fn`, a workflow: code that survives crashes, restarts and months
/// of waiting.
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
/// The state exists before anything is delivered: `Default::default()`, or the value that an
/// [`#[init]`](macro@init) makes from the input. Use `self` as usual: at each `.await` the macro parks the
/// state, so that signals and queries reach it, and takes it back afterwards. Only workflow futures can be
/// awaited. Other async methods of the block are helpers.
///
/// Arguments, all optional:
///
/// | argument | meaning | default |
/// |---|---|---|
/// | `name = "orders"` | its type in history | the name of the type or function |
/// | `task_queue = "orders"` | the task queue of its starts | the client's, or that of a worker in the process |
/// | `run_timeout = "1d"` | limit of one run: it ends as timed out, and no code of it runs any more | none |
/// | `execution_timeout = "30d"` | limit of all its runs together | none |
/// | `retry(max_attempts = 3)` | a failed run, or one that is out of time, is followed by another | none is |
/// | `retry_if = expr` | a `Fn(&E) -> bool`: whether another run follows an error | all |
/// | `retry_after = expr` | a `Fn(&E) -> Option<Duration>`: the wait that an error asks for, from 1 ms | the policy's |
/// | `no_probes` | turns the checks of types off, see below | |
/// | `crate = path` | the path to abide | found in `Cargo.toml` |
///
/// `retry(..)` has the keys of an activity's. A start may say otherwise:
/// `client.start(report(day)).run_timeout(hours(2))`.
///
/// # Types that are refused
///
/// In every body, the *inferred* types of expressions are checked, so an alias, a field or another crate
/// cannot hide them:
///
/// * iterating a `HashMap` or `HashSet`, by `for`, `iter()`, `keys()`, `drain()`, `difference(..)` and
///   similar methods (AB0115). Lookups, `insert`, `entry`, `len`, `retain` are allowed. So are calls that do
///   not depend on the order: `.count()`, `.all(..)`, `.any(..)`, `.min()`, `.max()`, `.sum::<u64>()`,
///   `collect` into a `BTreeMap`, `BTreeSet`, `BinaryHeap`, `HashMap` or `HashSet` (by turbofish, by the type
///   of the `let`, or as the last expression of a function that returns one), `extend` of such a collection,
///   and `let mut v: Vec<_> = ..collect();` if the next statement sorts `v`;
/// * an `Instant` or a `SystemTime`, alone or in an `Option` or `Result`, that a function or method returns
///   (AB0101);
/// * a `HashSet` as an argument or a result of an activity, workflow, signal or query (AB0115): history
///   stores it as a list, in another order each time. A `HashMap` is allowed there.
///
/// Not detected: a map that is printed with `{:?}`; a map of another kind (`hashbrown`, `dashmap`); an
/// iterator behind `impl Iterator` or `dyn Iterator`; a set in a field of a type of yours, or inside of an
/// alias (`type Lists = Vec<HashSet<u32>>`); the arguments of `assert!` and of macros of your own; in
/// closures and `async` blocks, a clock value on which no method is called at once; methods of a trait's
/// `impl`; bodies whose last expression has an attribute.
///
/// `no_probes` turns these checks off, for a workflow whose code their expansion would break, or whose hasher
/// always gives the same order. `#[workflow::helper(no_probes)]` does so for one method or function.
#[proc_macro_attribute]
pub fn workflow(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::workflow(args.into(), item.into()).into()
}

/// Marks code that workflows call: a function, a method, or every function in an `impl`, a `trait` or an
/// inline `mod`.
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
/// Workflows can await an async one, and it can await only workflow futures. It keeps generics, lifetimes and
/// receivers of every kind, and its future borrows its arguments, as for any `async fn`. In a plain function
/// that returns a future, `-> impl WorkflowFuture<Output = T>`, the `async` blocks become workflow futures.
/// In a marked block, activities, workflows and tests do not change.
///
/// Take a value out of the workflow's state before you call its async method, because its future would hold
/// the state across the await: `let pricing = std::mem::take(&mut self.pricing);`.
///
/// The methods of a `#[workflow] impl` need no mark. If a second `impl` has methods of the workflow, `self`
/// is its state, which awaits hand over: write `#[workflow::helper(state)]` there.
///
/// Arguments: `state`, `crate = path`, `no_probes` (see [`macro@workflow`]).
#[proc_macro_attribute]
pub fn helper(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::helper(args.into(), item.into()).into()
}

/// Like [`macro@helper`], for code for which its author takes responsibility:
/// `#[workflow::deterministic("why")]`. The reason is a text that is not blank, and tools list it. Only the
/// awaits of the code are checked.
#[proc_macro_attribute]
pub fn deterministic(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::deterministic(args.into(), item.into()).into()
}

/// Marks the body of a workflow, in an `impl` block marked `#[workflow]`: `async fn run(&mut self, ..)`.
#[proc_macro_attribute]
pub fn run(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("run", args.into(), item.into()).into()
}

/// Marks the function that makes a workflow's state from its input, in an `impl` block marked `#[workflow]`.
/// It gets the arguments of `#[run]` and returns `Self`. Without one, the state is `Default::default()`. If
/// the type has both, `#[init]` is called.
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
/// It runs at the start and in each replay, before any signal is delivered and before `run` is polled. So the
/// first signal finds a complete state, and a query of a run that has not started is answered from it. It
/// must be a plain function of the input: the rules of workflow code (AB01xx) apply, and `workflow::now()`,
/// `random()`, `info()` and other functions of a run are refused in it (AB0319). `run` gets its own
/// arguments, decoded from the same input. A panic in `#[init]` suspends the run (AB0202). The run goes on
/// with a fixed build.
#[proc_macro_attribute]
pub fn init(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("init", args.into(), item.into()).into()
}

/// Marks a method, sync or async, that handles a signal, in an `impl` block marked `#[workflow]`.
/// `name = ".."` gives it another name in history.
#[proc_macro_attribute]
pub fn signal(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("signal", args.into(), item.into()).into()
}

/// Marks a method that answers a query from the state, in an `impl` block marked `#[workflow]`. It takes
/// `&self`. `name = ".."` gives it another name for clients.
#[proc_macro_attribute]
pub fn query(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("query", args.into(), item.into()).into()
}

/// Marks a method, sync or async, that handles an update, in an `impl` block marked `#[workflow]`. An update
/// changes the state, as a signal does, and its sender waits for what it returns.
///
/// * `validate = Self::may_add`: a method that can refuse the update before it is in history. It takes
///   `&self` and a reference to each argument, and returns `Result<(), E>`, with the update's error or one
///   that `?` would convert to it. The error type of an update that returns a plain `T` is `abide::Failure`.
///   The validator never runs on replay, so it can change with each build. It only reads the state.
/// * `name = ".."` gives the update another name in history.
///
/// ```ignore
/// #[update(validate = Self::may_add)]
/// async fn add(&mut self, item: Item, count: u32) -> Result<u64, CartError> {
///     reserve(item.sku.clone()).await?;
///     self.items.push(item);
///     Ok(self.total())
/// }
///
/// fn may_add(&self, _item: &Item, count: &u32) -> Result<(), CartError> {
///     if *count == 0 { Err(CartError::Nothing) } else { Ok(()) }
/// }
/// ```
#[proc_macro_attribute]
pub fn update(args: TokenStream, item: TokenStream) -> TokenStream {
    abide_analysis::misplaced("update", args.into(), item.into()).into()
}
