//! Plays the scripts of a scenario's actors, like careful clients: a call that may or may not have taken
//! effect is repeated under the same request id, through another process if the first one is gone.
//!
//! It reaches processes only through a [`Door`], so that real and virtual processes look the same.

use crate::calls::{Answer, Asked, Call, Calls, End};
use crate::effects::HOME;
use crate::interpret::Scripted;
use crate::program::Program;
use crate::scenario::{Actor, Ask, Brings, Conflict, Reuse, Scenario, To};
use crate::value::Uncounted;
use abide::{Client, Error, Handle, IdConflictPolicy, IdReusePolicy, Start, UpdateError, WorkflowError};
use futures::future::LocalBoxFuture;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// The wait before a call is repeated, in ms.
const AGAIN: u64 = 20;

/// How clients reach the processes.
pub(crate) trait Door {
    /// Returns a living process: process `which` if it lives. Waits until there is one.
    fn enter(&self, which: u32) -> impl Future<Output = Entrance>;
}

/// Access to one process.
pub(crate) struct Entrance {
    pub(crate) client: Client,
    /// Resolves when the process has died: its calls are never answered.
    pub(crate) gone: LocalBoxFuture<'static, ()>,
    /// The process as a place to poll futures, if it has its own clock.
    pub(crate) inside: Option<Rc<dyn Inside>>,
}

/// A process with its own clock.
pub(crate) trait Inside {
    /// Polls the call in the process.
    fn ask<'f>(
        &self,
        call: LocalBoxFuture<'f, Result<Answer, Error>>,
    ) -> LocalBoxFuture<'f, Result<Answer, Error>>;
}

/// Plays all scripts to their ends. `calls` receives the answered calls.
pub(crate) async fn play<D: Door>(door: &D, scenario: &Scenario, calls: &Calls) {
    let begin = Instant::now();
    let players = scenario.actors.iter().enumerate().map(|(number, actor)| {
        let program = &scenario.programs[actor.program];
        Player { door, number, actor, program, calls, begin, runs: Vec::new() }.play()
    });
    futures::future::join_all(players).await;
}

struct Player<'s, D> {
    door: &'s D,
    number: usize,
    actor: &'s Actor,
    program: &'s Program,
    calls: &'s Calls,
    begin: Instant,
    /// The runs that the actor has started, with their request ids.
    runs: Vec<Started>,
}

#[derive(Clone)]
struct Started {
    request: String,
    run_id: String,
}

impl<D: Door> Player<'_, D> {
    async fn play(mut self) {
        for line in &self.actor.lines {
            tokio::time::sleep_until(self.begin + Duration::from_millis(line.at)).await;
            let last = self.runs.last().cloned();
            let bound = |to: To| if to == To::Run { last.clone() } else { None };
            let (what, to) = match line.ask.clone() {
                Ask::Start { request, reuse, conflict } => (Asked::Start { request, reuse, conflict }, None),
                Ask::StartWith { request, n, brings, own } => {
                    (Asked::StartWith { request, n, brings, own }, None)
                }
                Ask::Poke { request, n, to } => (Asked::Poke { request, n }, bound(to)),
                Ask::Visit { request, n, to } => (Asked::Visit { request, n }, bound(to)),
                Ask::Count { request, n, weighs, to } => (Asked::Count { request, n, weighs }, bound(to)),
                Ask::Query => (Asked::Query, last),
                Ask::Cancel { request } => (Asked::Cancel { request }, last),
                Ask::Terminate { request } => (Asked::Terminate { request }, last),
                Ask::Settle => {
                    self.settle(line.process).await;
                    continue;
                }
            };
            self.ask(line.process, what, to).await;
        }
    }

    /// Only the newest run of a workflow id can be open: it gets the pokes that it may wait for. The others
    /// have results.
    async fn settle(&mut self, process: u32) {
        for k in 0..self.program.pokes() {
            let request = format!("{}/top-{k}", self.number);
            let n = 1_000 * (self.number as u64 + 1) + 900 + u64::from(k);
            self.ask(process + k, Asked::Poke { request, n }, None).await;
        }
        self.ask(process, Asked::Result, None).await;
        for run in self.runs.clone() {
            self.ask(process + 1, Asked::Result, Some(run.clone())).await;
            self.ask(process + 2, Asked::Query, Some(run)).await;
        }
    }

    /// Repeats the call until the answer is certain.
    async fn ask(&mut self, process: u32, what: Asked, to: Option<Started>) {
        let mut tries = 0;
        let answer = loop {
            tries += 1;
            let mut entrance = self.door.enter(process.wrapping_add(tries - 1)).await;
            let client = entrance.client.clone();
            let once: LocalBoxFuture<_> = Box::pin(self.once(&client, &what, to.as_ref()));
            let asking = match &entrance.inside {
                Some(process) => process.ask(once),
                None => once,
            };
            // The process may die during the call. The outcome is then unknown.
            let answer = tokio::select! {
                biased;
                answer = asking => Some(answer),
                () = &mut entrance.gone => None,
            };
            match answer {
                // Another release will take the run up.
                Some(Ok(Answer::Ended(End::Suspended { .. }))) if self.program.revision.is_some() => {}
                Some(Ok(answer)) => break answer,
                Some(Err(error)) if !self.passes(&error) => {
                    break Answer::Refused { code: error.code().to_owned(), text: error.to_string() };
                }
                Some(Err(_)) | None => {}
            }
            drop(entrance);
            tokio::time::sleep(Duration::from_millis(AGAIN)).await;
        };
        if let (Asked::Start { request, conflict, .. }, Answer::Started { run_id }) = (&what, &answer)
            // If it is repeated, a start that returned another client's run may return a different one.
            && *conflict != Conflict::UseExisting
            && self.runs.iter().all(|run| run.run_id != *run_id)
        {
            self.runs.push(Started { request: request.clone(), run_id: run_id.clone() });
        }
        let (workflow_id, run_id) = (self.actor.workflow_id.clone(), to.map(|run| run.run_id));
        self.calls.add(Call { actor: self.number, workflow_id, run_id, what, tries, answer });
    }

    /// Whether to repeat the call: the outcome is unknown, no worker answered, the database or the worker
    /// failed, or the answer came from another release. Everything else is an answer.
    fn passes(&self, error: &Error) -> bool {
        let code = error.code();
        let other_release = self.program.revision.is_some() && code == "AB0409";
        other_release || code.starts_with("AB05") || matches!(code, "AB0410" | "AB0413" | "AB0607")
    }

    async fn once(&self, client: &Client, what: &Asked, to: Option<&Started>) -> Result<Answer, Error> {
        if let Asked::Start { request, reuse, conflict } = what {
            let handle = self.start(client, request, *reuse, *conflict).await?;
            let run_id = handle.run_id().unwrap_or_default().to_owned();
            return Ok(Answer::Started { run_id });
        }
        if let Asked::StartWith { request, n, brings, own } = what {
            return self.start_with(client, request, *n, (*brings, *own)).await;
        }
        let run = self.handle(client, to).await?;
        let sent = match what {
            Asked::Query => return Ok(Answer::Progress(run.progress().await?)),
            Asked::Result => return result(&run).await.map(Answer::Ended),
            Asked::Count { request, n, weighs: false } => {
                return counted(run.count(*n).request_id(request).await);
            }
            Asked::Count { request, n, weighs: true } => {
                return counted(run.weigh(*n).request_id(request).await);
            }
            Asked::Poke { request, n } => run.poke(*n).request_id(request).await,
            Asked::Visit { request, n } => run.visit(*n).request_id(request).await,
            Asked::Cancel { request } => run.cancel("as scripted").request_id(request).await,
            Asked::Terminate { request } => run.terminate("as scripted").request_id(request).await,
            Asked::Start { .. } | Asked::StartWith { .. } => Ok(()),
        };
        sent.map(|()| Answer::Taken)
    }

    async fn start(
        &self,
        client: &Client,
        request: &str,
        reuse: Reuse,
        conflict: Conflict,
    ) -> Result<Handle<Scripted>, Error> {
        let start = self.opening(client, request);
        let reuse = match reuse {
            Reuse::Allow => IdReusePolicy::AllowDuplicate,
            Reuse::FailedOnly => IdReusePolicy::AllowDuplicateFailedOnly,
            Reuse::Reject => IdReusePolicy::RejectDuplicate,
        };
        let conflict = match conflict {
            Conflict::Fail => IdConflictPolicy::Fail,
            Conflict::UseExisting => IdConflictPolicy::UseExisting,
            Conflict::Terminate => IdConflictPolicy::TerminateExisting,
        };
        start.id_reuse_policy(reuse).id_conflict_policy(conflict).await
    }

    /// A start with the terms of the program.
    fn opening(&self, client: &Client, request: &str) -> Start<Scripted> {
        let start = client.start(Scripted::run(self.program.clone())).id(self.actor.workflow_id.clone());
        let mut start = start.task_queue(HOME).request_id(request);
        let terms = &self.program.terms;
        if let Some(policy) = terms.retry() {
            start = start.retry(policy);
        }
        if let Some(ms) = terms.run {
            start = start.run_timeout(Duration::from_millis(ms));
        }
        if let Some(ms) = terms.chain {
            start = start.execution_timeout(Duration::from_millis(ms));
        }
        start
    }

    /// A start that brings a message. `own`: the message has a request id of its own.
    async fn start_with(
        &self,
        client: &Client,
        request: &str,
        n: u64,
        (brings, own): (Brings, bool),
    ) -> Result<Answer, Error> {
        let (start, id) = (self.opening(client, request), brings.id(request, own));
        macro_rules! with {
            ($message:ident) => {
                if own {
                    start.with(|run| run.$message(n).request_id(&id)).await
                } else {
                    start.with(|run| run.$message(n)).await
                }
            };
        }
        let handle = match brings {
            Brings::Poke => with!(poke),
            Brings::Visit => with!(visit),
            Brings::Count { weighs: false } => return counted(with!(count)),
            Brings::Count { weighs: true } => return counted(with!(weigh)),
        }?;
        Ok(Answer::Started { run_id: handle.run_id().unwrap_or_default().to_owned() })
    }

    /// A handle of one run in any process: its start, repeated with the same request id, returns it.
    async fn handle(&self, client: &Client, to: Option<&Started>) -> Result<Handle<Scripted>, Error> {
        let Some(Started { request, run_id }) = to else {
            return Ok(client.handle::<Scripted>(self.actor.workflow_id.clone()));
        };
        let handle = self.start(client, request, Reuse::Allow, Conflict::Fail).await?;
        let found = handle.run_id().unwrap_or_default();
        if found != run_id {
            // For the oracle: one request, two runs.
            self.calls.add(Call {
                actor: self.number,
                workflow_id: self.actor.workflow_id.clone(),
                run_id: None,
                what: Asked::Start {
                    request: request.clone(),
                    reuse: Reuse::Allow,
                    conflict: Conflict::Fail,
                },
                tries: 1,
                answer: Answer::Started { run_id: found.to_owned() },
            });
        }
        Ok(handle)
    }
}

/// The answer of an update.
fn counted(answer: Result<u64, UpdateError<Uncounted>>) -> Result<Answer, Error> {
    let refused = |code: &str, text: String| Ok(Answer::Refused { code: code.to_owned(), text });
    match answer {
        Ok(value) => Ok(Answer::Counted(value)),
        Err(UpdateError::Rejected(Uncounted { rejected: true, .. })) => Ok(Answer::Rejected),
        Err(UpdateError::Client(error)) => Err(error),
        Err(UpdateError::Suspended(reason)) => {
            let (code, message) = (reason.code().to_owned(), reason.message().to_owned());
            Ok(Answer::Ended(End::Suspended { code, message }))
        }
        Err(error @ UpdateError::Aborted { .. }) => refused("AB0420", error.to_string()),
        Err(error @ UpdateError::Closed) => refused("AB0407", error.to_string()),
        Err(error) => refused("another", error.to_string()),
    }
}

async fn result(run: &Handle<Scripted>) -> Result<End, Error> {
    let error = match run.result().await {
        Ok(output) => return Ok(End::Completed(output)),
        Err(error) => error,
    };
    let compensations = error.compensation_failures().len();
    Ok(match error.into_end() {
        WorkflowError::Failed(error) => End::Failed { error, compensations },
        WorkflowError::Cancelled => End::Cancelled { compensations },
        WorkflowError::Terminated => End::Terminated,
        WorkflowError::TimedOut { .. } => End::TimedOut,
        WorkflowError::Suspended(reason) => {
            End::Suspended { code: reason.code().to_owned(), message: reason.message().to_owned() }
        }
        WorkflowError::Client(error) => return Err(error),
        other => End::Other(other.to_string()),
    })
}
