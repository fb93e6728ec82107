//! Mocks: typed closures that replace activities and record their calls.

use crate::activity::entry::{self, ActivityEntry};
use abide_core::exec::AttemptOutcome;
use abide_core::{ActivityDef, AnyActivityFn, Arguments, Outcome, Payload};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Mocks an activity: whenever a workflow calls it, `body` runs instead. `body` takes the activity's
/// arguments (with their types written out) and returns the activity's return type. It runs once for each
/// attempt, and can call [`activity::context()`](crate::activity::context()). Methods are mocked like
/// functions: `mock(Payments::charge, ..)`.
///
/// Clones of a mock share their state: the test keeps one and inspects the calls afterwards.
///
/// ```
/// use abide::prelude::*;
/// use abide::testing::{TestEnv, mock};
///
/// #[activity(start_to_close = "1h")]
/// async fn charge(order: String, cents: u64) -> Result<String, Failure> {
///     unreachable!("no test charges {order} {cents} cents")
/// }
///
/// #[workflow]
/// async fn pay(order: String) -> Result<String, Failure> {
///     Ok(charge(order, 990).await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let env = TestEnv::start().await?;
/// let charges = mock(charge, |order: String, _cents: u64| Ok(format!("receipt for {order}")))
///     .fail(2, Failure::new("card reader is busy"))
///     .delay(mins(10));
/// let worker = env.worker("orders").workflow(pay).mock(&charges).start().await?;
///
/// let paid = env.client().start(pay("A-1".into())).await?;
/// assert_eq!(paid.result().await?, "receipt for A-1");
/// assert_eq!(charges.call_count(), 3);
/// charges.assert_called_with(("A-1".into(), 990));
/// worker.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn mock<Args, F, B>(activity: F, body: B) -> Mock<F::Def>
where
    F: AnyActivityFn<Args>,
    B: MockBody<Args, <F::Def as ActivityDef>::Returned>,
{
    // Only its type is needed.
    drop(activity);
    let answer = move |input| match entry::decoded::<F::Def>(input) {
        Ok(args) => entry::outcome::<F::Def>(<F::Def as ActivityDef>::Outcome::split(body.answer(args))),
        Err(refused) => refused,
    };
    let state = State {
        answer: Arc::new(answer),
        failures: Vec::new(),
        delay: Duration::ZERO,
        never_ends: false,
        calls: Vec::new(),
    };
    Mock { state: Arc::new(Mutex::new(state)), activity: std::marker::PhantomData }
}

/// A closure that can replace an activity with these arguments and this return type.
#[diagnostic::on_unimplemented(
    message = "this closure cannot stand for the activity: it must take `{Args}` and return `{Returned}`",
    label = "takes or returns something else",
    note = "write the types of its arguments out: `|order: String, cents: u64| ..`"
)]
pub trait MockBody<Args, Returned>: Send + Sync + 'static {
    /// Calls it.
    #[doc(hidden)]
    fn answer(&self, args: Args) -> Returned;
}

macro_rules! bodies {
    ($($name:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<Fun, Returned, $($name),*> MockBody<($($name,)*), Returned> for Fun
        where Fun: Fn($($name),*) -> Returned + Send + Sync + 'static {
            #[allow(non_snake_case)] // a name each, from the types
            fn answer(&self, ($($name,)*): ($($name,)*)) -> Returned {
                self($($name),*)
            }
        }
    };
}
bodies!();
bodies!(A);
bodies!(A B);
bodies!(A B C);
bodies!(A B C D);
bodies!(A B C D E);
bodies!(A B C D E F);
bodies!(A B C D E F G);
bodies!(A B C D E F G H);

/// See [`mock`].
pub struct Mock<D> {
    state: Arc<Mutex<State>>,
    activity: std::marker::PhantomData<fn() -> D>,
}

struct State {
    answer: Arc<dyn Fn(Payload) -> AttemptOutcome + Send + Sync>,
    /// How the next attempts fail, the last one first.
    failures: Vec<AttemptOutcome>,
    delay: Duration,
    never_ends: bool,
    calls: Vec<Payload>,
}

impl<D> Clone for Mock<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), activity: std::marker::PhantomData }
    }
}

impl<D: ActivityDef> fmt::Debug for Mock<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("activity", &D::NAME).field("calls", &self.lock().calls.len()).finish()
    }
}

impl<D: ActivityDef> Mock<D> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next `times` attempts fail with this error. As in production, the error, the attribute and
    /// the retry policy decide whether and when they are retried. A further call adds failures after those of
    /// earlier calls.
    pub fn fail(self, times: u32, error: <D::Outcome as Outcome>::Err) -> Self {
        let outcome = entry::outcome::<D>(Err(error));
        let more = std::iter::repeat_n(outcome, times as usize);
        let mut state = self.lock();
        state.failures = more.chain(state.failures.drain(..)).collect();
        drop(state);
        self
    }

    /// Sets the duration of each attempt, on the environment's clock. Default: zero. If it is longer than the
    /// activity's `start_to_close`, the attempt times out, and is retried as its policy says: without end by
    /// default.
    pub fn delay(self, delay: Duration) -> Self {
        self.lock().delay = delay;
        self
    }

    /// Makes attempts that never end by themselves, for tests of time limits and cancellation.
    pub fn never_ends(self) -> Self {
        self.lock().never_ends = true;
        self
    }

    /// The arguments of each attempt so far, in the order in which the attempts began.
    ///
    /// # Panics
    /// If recorded arguments do not decode as the current type.
    pub fn calls(&self) -> Vec<D::Args> {
        let calls = self.lock().calls.clone();
        let read = |input: &Payload| D::Args::decode(input).expect("what the mock was called with decodes");
        calls.iter().map(read).collect()
    }

    /// How many attempts have begun.
    pub fn call_count(&self) -> usize {
        self.lock().calls.len()
    }

    /// Asserts that an attempt was made with these arguments, a tuple:
    /// `charges.assert_called_with((order, 990))`.
    ///
    /// # Panics
    /// If there was none. The message lists the calls.
    #[track_caller]
    pub fn assert_called_with(&self, args: D::Args) {
        let wanted = args.encode().expect("the arguments encode");
        let calls = self.lock().calls.clone();
        let told = || calls.iter().map(|call| format!("\n  {}", call.as_json())).collect::<String>();
        assert!(
            calls.iter().any(|call| call.as_json() == wanted.as_json()),
            "activity `{}` was never called with {}; its {} calls:{}",
            D::NAME,
            wanted.as_json(),
            calls.len(),
            told()
        );
    }

    /// Asserts how many attempts have begun.
    ///
    /// # Panics
    /// If the number differs. The message lists the calls.
    #[track_caller]
    pub fn assert_called(&self, times: usize) {
        let calls = self.lock().calls.clone();
        let told: String = calls.iter().map(|call| format!("\n  {}", call.as_json())).collect();
        assert!(
            calls.len() == times,
            "activity `{}` was called {} times, not {times}:{told}",
            D::NAME,
            calls.len()
        );
    }

    /// The mock as an entry of a worker's registry.
    pub(crate) fn entry(&self) -> ActivityEntry {
        let mock = self.clone();
        ActivityEntry::of(D::NAME, None, move |input| {
            let mock = mock.clone();
            async move {
                let (failure, delay, never_ends) = mock.begin(&input);
                if never_ends {
                    return std::future::pending().await;
                }
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                let answer = Arc::clone(&mock.lock().answer);
                failure.unwrap_or_else(|| answer(input))
            }
        })
    }

    fn begin(&self, input: &Payload) -> (Option<AttemptOutcome>, Duration, bool) {
        let mut state = self.lock();
        state.calls.push(input.clone());
        (state.failures.pop(), state.delay, state.never_ends)
    }
}
