//! One call of a client about an update: it asks until it is told (PROTOCOL 43 to 48).

use super::UpdateError;
use crate::client::UntypedHandle;
use crate::error::{Error, Result};
use crate::host::GivenUp;
use crate::hub::CloseWatch;
use crate::outcome::Reason;
use crate::status::ExecutionStatus;
use crate::store::{Find, MessageKind, NewMessage, SendAnswer};
use crate::update_waiters::UpdateWatch;
use crate::wire::{UpdateBody, rejected_key, to_json, update_key};
use abide_core::exec::UpdateState;
use abide_core::{Event, ExecutionId, FailureRecord, PayloadError, UpdateAnswer, UpdateCodec, UpdateOutcome};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A client that still waits asks again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// The longest wait between two looks, in case a notification was missed.
const SAFETY_NET: Duration = Duration::from_secs(1);

/// How an ask ended.
pub(super) enum Settled {
    Accepted,
    Ended(UpdateOutcome),
    Rejected(FailureRecord),
    Refused(String),
    TooMany,
    Unknown,
    /// The run with this run id has accepted it, which went before in the chain.
    Earlier(String),
    /// With the run id of the run that goes on, if one does.
    Aborted(Option<String>),
    Closed,
    Suspended(Reason),
}

impl Settled {
    /// `None`: the client has to wait.
    fn of(state: UpdateState, to_the_end: bool) -> Option<Self> {
        Some(match state {
            UpdateState::Accepted if to_the_end => return None,
            UpdateState::Accepted => Self::Accepted,
            UpdateState::Completed(outcome) => Self::Ended(outcome),
            UpdateState::Rejected(failure) => Self::Rejected(failure),
            UpdateState::Refused(why) => Self::Refused(why),
            UpdateState::TooMany => Self::TooMany,
            UpdateState::Unknown => Self::Unknown,
            UpdateState::Aborted => Self::Aborted(None),
            UpdateState::Earlier(run_id) => Self::Earlier(run_id),
        })
    }
}

/// What the caller gets.
pub(super) fn answer<A: UpdateAnswer>(
    codec: &UpdateCodec<A>,
    settled: Settled,
) -> std::result::Result<A::Ok, UpdateError<A::Err>> {
    let client = |error: PayloadError| UpdateError::Client(error.into());
    match settled {
        Settled::Ended(UpdateOutcome::Completed(value)) => codec.value(&value).map_err(client),
        Settled::Ended(UpdateOutcome::Failed(failure)) => {
            Err(codec.error(&failure).map_or_else(client, UpdateError::Failed))
        }
        Settled::Rejected(failure) => Err(codec.error(&failure).map_or_else(client, UpdateError::Rejected)),
        Settled::Refused(why) => Err(UpdateError::Refused(why)),
        Settled::TooMany => Err(UpdateError::TooMany),
        Settled::Unknown | Settled::Earlier(_) => Err(UpdateError::Unknown),
        Settled::Aborted(next) => Err(UpdateError::Aborted { next }),
        Settled::Accepted | Settled::Closed => Err(UpdateError::Closed),
        Settled::Suspended(reason) => Err(UpdateError::Suspended(reason)),
    }
}

/// One call of a client: it asks under one id until it is told.
pub(super) struct Asking<'a> {
    to: &'a UntypedHandle,
    run: ExecutionId,
    ask: String,
    body: UpdateBody,
    /// The ask went with the start of the run: it is durable, and may be answered before this waits.
    went_with_start: bool,
    told: UpdateWatch,
    closed: CloseWatch,
}

impl<'a> Asking<'a> {
    /// `ask`: the id of an ask that went with the start of the run. Otherwise this sends one.
    pub(super) fn of(
        to: &'a UntypedHandle,
        run: ExecutionId,
        body: UpdateBody,
        ask: Option<Arc<str>>,
    ) -> Self {
        let hub = to.client.abide.hub();
        let went_with_start = ask.is_some();
        let ask = ask.map_or_else(|| to.client.abide.host().fresh_id(), |ask| ask.as_ref().to_owned());
        let told = hub.updates.watch(run, &body.update_id, &ask);
        Self { to, run, told, closed: hub.watch(run), ask, body, went_with_start }
    }

    /// Asks, and again every 15 s, until the update is settled.
    pub(super) async fn settle(self, to_the_end: bool) -> Result<Settled> {
        let (mut run, mut settled) = (self.run, self.settled(to_the_end).await?);
        if let Settled::Earlier(run_id) = &settled {
            run = self.before(run_id).await?;
            settled = self.by_journal(run, to_the_end).await?;
        }
        match settled {
            Settled::Aborted(_) => Ok(Settled::Aborted(self.next(run).await?)),
            settled => Ok(settled),
        }
    }

    /// The run of this run id, which went before in the chain.
    async fn before(&self, run_id: &str) -> Result<ExecutionId> {
        let mut row = self.to.row_by(Find::Execution(self.run)).await?;
        while row.run_id != run_id {
            let chain = row.chain.ok_or_else(|| Error::NoSuchExecution { id: run_id.to_owned() })?;
            row = self.to.row_by(Find::Before { chain, of: row.id }).await?;
        }
        Ok(row.id)
    }

    /// The run id of the run that goes on for this one.
    async fn next(&self, run: ExecutionId) -> Result<Option<String>> {
        let row = self.to.row_by(Find::Execution(run)).await?;
        Ok(match row.next {
            Some(next) => Some(self.to.row_by(Find::Execution(next)).await?.run_id),
            None => None,
        })
    }

    async fn settled(&self, to_the_end: bool) -> Result<Settled> {
        let abide = &self.to.client.abide;
        let mut news = abide.store().news();
        let mut is_out = self.went_with_start;
        loop {
            let asked = Instant::now();
            if !is_out && !self.send().await? {
                return self.by_journal(self.run, to_the_end).await;
            }
            // Its answer may have come before this watches: then only a row has it.
            let mut by_rows = std::mem::take(&mut is_out);
            while asked.elapsed() < ASK_AGAIN {
                news.mark_unchanged();
                let (changes, state) = (self.closed.changes(), self.told.state());
                let by_rows = std::mem::take(&mut by_rows);
                if let Some(settled) = self.look(state.clone(), to_the_end, by_rows).await? {
                    return Ok(settled);
                }
                let changed = async {
                    tokio::select! {
                        biased;
                        () = self.told.changed(state.as_ref()) => {}
                        () = self.closed.changed(changes) => {}
                        _ = news.changed() => {}
                        () = tokio::time::sleep(SAFETY_NET) => {}
                    }
                };
                match abide.host().wait(changed).await {
                    Ok(()) => {}
                    Err(GivenUp::NothingLeft) => return Err(self.to.nothing_left().await),
                    Err(GivenUp::Endless(endless)) => return Err(endless.into()),
                    Err(GivenUp::Standstill(standstill)) => return Err(standstill.into()),
                }
            }
        }
    }

    /// Asks through memory if the owner is in this process, otherwise by a row. False: the run is closed.
    async fn send(&self) -> Result<bool> {
        if self.went_with_start && !self.has_begun().await? {
            // The run begins with the update. A row would end its start delay.
            return Ok(true);
        }
        let (store, hub) = (self.to.client.abide.store(), self.to.client.abide.hub());
        let message = |asker| NewMessage {
            execution: self.run,
            kind: MessageKind::Update,
            request_id: self.ask.clone(),
            body: to_json(&UpdateBody { asker, ..self.body.clone() }),
            at_ms: store.now_ms(),
        };
        if let Some(owner) = hub.owner_of(self.run) {
            match owner.message(message(None)).await {
                Ok(Some(())) => return Ok(true),
                // It is not the owner any more, or it does not know: the row asks again.
                Ok(None) => {}
                Err(error) if error.is_fenced() || error.is_unknown() => {}
                Err(Error::ExecutionClosed { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match store.send(message(Some(store.block()))).await? {
            SendAnswer::Sent | SendAnswer::Known => {
                hub.wake_workers();
                Ok(true)
            }
            SendAnswer::Closed => Ok(false),
            SendAnswer::NoSuchExecution => Err(Error::NoSuchExecution { id: self.to.id().to_owned() }),
        }
    }

    async fn has_begun(&self) -> Result<bool> {
        Ok(self.to.row_by(Find::Execution(self.run)).await?.history_len > 0)
    }

    /// Looks whether it is settled: in memory, or by the rows if the owner is elsewhere or if `by_rows`.
    async fn look(
        &self,
        state: Option<UpdateState>,
        to_the_end: bool,
        by_rows: bool,
    ) -> Result<Option<Settled>> {
        let told = |state: UpdateState| Settled::of(state, to_the_end);
        if let Some(settled) = state.and_then(told) {
            return Ok(Some(settled));
        }
        let (store, hub) = (self.to.client.abide.store(), self.to.client.abide.hub());
        if !by_rows && hub.owner_of(self.run).is_some() && self.closed.closed().is_none() {
            // What came by a row is answered by a row, also here; most comes through memory.
            return Ok(None);
        }
        for key in [update_key(self.run, &self.body.update_id), rejected_key(&self.ask)] {
            let kept = store.read_reply(key).await?;
            // An answer of another release is not understood: the journal has it.
            let state = kept.and_then(|body| serde_json::from_str::<UpdateState>(&body).ok());
            if let Some(settled) = state.and_then(told) {
                return Ok(Some(settled));
            }
        }
        let row = self.to.row_by(Find::Execution(self.run)).await?;
        match row.status {
            ExecutionStatus::Suspended if self.to.is_tried_soon(&row) => Ok(None),
            ExecutionStatus::Suspended => Ok(Some(Settled::Suspended(Reason::of(row.suspension.as_ref())))),
            status if status.is_open() => Ok(None),
            _ => self.by_journal(self.run, to_the_end).await.map(Some),
        }
    }

    /// A closed run answers from its journal.
    async fn by_journal(&self, run: ExecutionId, to_the_end: bool) -> Result<Settled> {
        let turns = self.to.client.abide.store().journal(run).await?;
        let (mut accepted, mut earlier, mut number) = (None, None, 0);
        for turn in turns {
            let row = turn.read().map_err(|unreadable| unreadable.of(run))?;
            for event in row.events {
                number += 1;
                match event {
                    Event::Started { context, .. } => {
                        let mut carried = context.carried.updates.into_iter();
                        earlier = carried.find(|update| update.update_id == self.body.update_id);
                    }
                    Event::UpdateAccepted { update_id, .. } if update_id == self.body.update_id => {
                        accepted = Some(number);
                    }
                    Event::UpdateCompleted { update, outcome } if Some(update.0) == accepted => {
                        return Ok(Settled::Ended(outcome));
                    }
                    _ => {}
                }
            }
        }
        Ok(match (accepted, earlier) {
            (Some(_), _) if to_the_end => Settled::Aborted(None),
            (Some(_), _) => Settled::Accepted,
            (None, Some(earlier)) => Settled::Earlier(earlier.run_id),
            (None, None) if self.body.input.is_none() => Settled::Unknown,
            (None, None) => Settled::Closed,
        })
    }
}
