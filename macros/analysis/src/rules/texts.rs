//! The texts of the rules: what goes wrong, and what to write instead.

pub(crate) const NOW: &str = "use the workflow's own clock: `workflow::now()`";
pub(crate) const SLEEP: &str =
    "use a durable timer: `workflow::sleep(..)`, `workflow::timeout(..)`, `workflow::until!(..).timeout(..)`";
pub(crate) const RANDOM: &str = "draw from the workflow's own generator: `workflow::random()`";
pub(crate) const UUID: &str = "use `workflow::uuid()`, which replays the same";
pub(crate) const THREAD: &str =
    "do the work in an `#[activity]`, or run workflow code side by side with `workflow::spawn(..)`";
pub(crate) const TASK: &str =
    "use `workflow::spawn(..)` for workflow code, an `#[activity]` for anything else";
pub(crate) const ACTIVITY: &str =
    "do it in an `#[activity]`: its result is recorded, and a replay takes the record";
pub(crate) const INPUT: &str = "pass it in as an input of the workflow, or read it in an `#[activity]`; \
                     `workflow::info()` tells about the run";
pub(crate) const TRACING: &str = "use `tracing`, which is muted on replay, or an `#[activity]`";
pub(crate) const STATE: &str = "keep it in the workflow's state: a field of its struct";
pub(crate) const UNTIL: &str = "keep it in the workflow's state and wait with `workflow::until!(..)`: only one task of \
                     a workflow runs at a time";
pub(crate) const TURNS: &str = "keep it in a field of the workflow's state, which needs no lock: only one task of a \
                                workflow runs at a time; tasks and handlers that must not interleave at their awaits \
                                use `workflow::Mutex`";
pub(crate) const PERMITS: &str =
    "use `workflow::Semaphore`, which wakes its waiters in the same order on replay";
pub(crate) const CHANNEL: &str = "between tasks and handlers of one workflow use `workflow::channel(..)`; what comes \
                                  from outside is a `#[signal]`, and `workflow::until!(..)` waits for it";
pub(crate) const OWN_ID: &str = "give the values ids of your own";

pub(crate) const TIME: &str = "is not deterministic: on replay it returns another time";
pub(crate) const WAITS: &str = "is not a durable timer: it is not recorded, and blocks or is lost on replay";
pub(crate) const DRAWS: &str = "is not deterministic: on replay it returns another value";
pub(crate) const ANOTHER_ID: &str = "is not deterministic: on replay it returns another id";
pub(crate) const RUNS: &str = "runs outside of the workflow: what it does and when is not recorded";
pub(crate) const OUTSIDE: &str =
    "reaches outside of the workflow: a replay would do it again, and may get another answer";
pub(crate) const MACHINE: &str = "is not deterministic: another machine or process gives another answer";
pub(crate) const PRINTS: &str = "prints again on every replay";
pub(crate) const TELLS: &str = "is not muted on replay: every replay tells it again";
pub(crate) const COUNTS: &str = "is not muted on replay: every replay counts again";
pub(crate) const LISTENS: &str =
    "depends on who listens: another process, or this one after a restart, gives another answer";
pub(crate) const LISTENER: &str = "takes the workflow's subscriber away, which mutes replays";
pub(crate) const UNHEARD: &str =
    "may not happen: by build, level and listener, such arguments are evaluated or not";
pub(crate) const BEFORE: &str = "do it before, into a variable, and hand that over";
pub(crate) const ADDRESS: &str = "is not deterministic: an address differs in every process";
pub(crate) const GLOBAL: &str = "is state outside of the workflow: a replay finds it changed";
pub(crate) const LOCKS: &str =
    "is not recorded: who gets it first may differ on replay, and a wait on it blocks the worker";
pub(crate) const ORDER: &str = "is not deterministic: it polls its branches in a random or unrecorded order";
