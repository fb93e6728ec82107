//! Updates: messages that change the state and have an answer (PROTOCOL 43 to 48).
//!
//! A validator runs once, when the update comes, and never on replay. What it rejects leaves no event.

pub(crate) mod table;

use crate::event::{Event, UpdateOutcome};
use crate::exec::command::Command;
use crate::exec::context::Context;
use crate::exec::program::{UpdateStep, Validated};
use crate::exec::spawned::TaskKind;
use crate::exec::suspension::Suspension;
use crate::exec::tasks::panic_message;
use crate::exec::turn::{UpdateAsk, UpdateNews, UpdateState};
use crate::exec::{Execution, context};
use crate::failure::{FailureKind, FailureRecord};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::update::Written;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

impl Execution {
    /// Takes in an ask, live.
    pub(crate) fn update_asked(&mut self, ask: UpdateAsk) {
        // A run that goes on as another takes nothing in any more. The client asks again, and finds the next.
        if self.goes_on() {
            return;
        }
        let UpdateAsk { update_id, name, input, ask, asker } = ask;
        let known = self.ctx.tables.updates.borrow().find(&update_id).filter(|_| !mutant!(ForgetUpdateIds));
        if let Some(id) = known {
            let state = self.ctx.tables.updates.borrow_mut().asked(id, asker);
            return self.tell(UpdateNews {
                update_id,
                ask: Some(ask),
                askers: asker.into_iter().collect(),
                state,
            });
        }
        let earlier = self.ctx.tables.updates.borrow().earlier(&update_id).map(str::to_owned);
        if let Some(run_id) = earlier {
            return self.tell(UpdateNews {
                update_id,
                ask: Some(ask),
                askers: asker.into_iter().collect(),
                state: UpdateState::Earlier(run_id),
            });
        }
        let refused = match &input {
            None => Some(UpdateState::Unknown),
            Some(_) if self.ctx.tables.updates.borrow().is_full() => Some(UpdateState::TooMany),
            Some(input) => self.validate(&name, input),
        };
        match (refused, input) {
            (None, Some(input)) => {
                let accepted =
                    Event::UpdateAccepted { update_id: update_id.clone(), name, input, answer: asker };
                let news = UpdateNews {
                    update_id,
                    ask: Some(ask),
                    askers: asker.into_iter().collect(),
                    state: UpdateState::Accepted,
                };
                self.ctx.draft().updates.push(news);
                self.record(accepted);
            }
            (refused, _) => {
                let state = refused.unwrap_or(UpdateState::Unknown);
                let is_early = !matches!(state, UpdateState::Unknown);
                self.tell(UpdateNews {
                    update_id,
                    ask: Some(ask),
                    askers: asker.into_iter().collect(),
                    state,
                });
                if is_early {
                    self.uncount_early();
                }
            }
        }
    }

    /// Tells those who wait, also if the execution is suspended later in the turn.
    fn tell(&self, news: UpdateNews) {
        let mut draft = self.ctx.draft();
        draft.updates.push(news);
        draft.mark();
    }

    /// Asks the validator. `None`: it accepts.
    pub(crate) fn validate(&self, name: &str, input: &Payload) -> Option<UpdateState> {
        self.ctx.read_only.set(true);
        let said = {
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.validate(name, input)))
        };
        self.ctx.read_only.set(false);
        match said {
            Ok(Validated::Accepted) => None,
            Ok(Validated::Rejected(failure)) => Some(UpdateState::Rejected(failure)),
            Ok(Validated::Refused(why)) => Some(UpdateState::Refused(why)),
            Err(panic) => {
                let message = panic_message(&*panic);
                Some(UpdateState::Refused(format!("its validator panicked: {message}")))
            }
        }
    }

    /// An update was accepted: calls its handler, live or replayed.
    pub(crate) fn update_accepted(
        &mut self,
        id: EventId,
        update_id: String,
        (name, input): (String, Payload),
        asker: Option<i64>,
    ) {
        let now_ms = self.ctx.now_ms();
        self.ctx.tables.updates.borrow_mut().accept(id, update_id, asker, now_ms);
        if mutant!(RevalidateOnReplay) && self.ctx.is_replaying() && self.validate(&name, &input).is_some() {
            return self.count_early();
        }
        let step = {
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.update(&name, &input)))
        };
        match step {
            Ok(UpdateStep::Done(written)) => {
                complete(&self.ctx, id, written);
                self.ctx.watch.note_progress();
            }
            Ok(UpdateStep::Task(future)) => {
                let ctx = Rc::clone(&self.ctx);
                let task = Box::pin(async move { complete(&ctx, id, future.await) });
                self.ctx.spawn(TaskKind::Handler { of: "update", name }, task);
            }
            Ok(UpdateStep::Unhandled) => self.ctx.suspend(Suspension::unhandled("update", &name, &input)),
            Err(panic) => {
                let message = format!("in the handler of update `{name}`: {}", panic_message(&*panic));
                self.ctx.suspend(Suspension::panicked(&message, self.ctx.site()));
            }
        }
        self.count_early();
    }

    /// The execution closes: tells those who wait for unfinished updates.
    pub(crate) fn abort_updates(&self) {
        let news = self.ctx.tables.updates.borrow().abort();
        self.ctx.draft().updates.extend(news);
    }
}

/// The handler has ended. Its answer is a command, so that it outlives a crash.
fn complete(ctx: &Context, update: EventId, written: Written) {
    let outcome = match written {
        Ok(Ok(value)) => UpdateOutcome::Completed(value),
        Ok(Err(failure)) => UpdateOutcome::Failed(failure),
        Err(error) => UpdateOutcome::Failed(FailureRecord::new(FailureKind::Invalid, error)),
    };
    let Some(issued) = ctx.issue(Complete { update, outcome }) else { return };
    let news = ctx.tables.updates.borrow_mut().complete(update, issued.command.outcome);
    if issued.live {
        ctx.draft().updates.extend(news);
    }
}

struct Complete {
    update: EventId,
    outcome: UpdateOutcome,
}

impl Command for Complete {
    fn event(&self) -> Event {
        Event::UpdateCompleted { update: self.update, outcome: self.outcome.clone() }
    }

    /// The recorded outcome stays, as that of a run does.
    fn same(&self, recorded: &Event) -> bool {
        matches!(recorded, Event::UpdateCompleted { update, .. } if *update == self.update)
    }

    fn adopt(&mut self, recorded: Event) {
        if let Event::UpdateCompleted { outcome, .. } = recorded {
            self.outcome = outcome;
        }
    }
}
