//! Completing an activity by its token, from any process (PROTOCOL 77).

use super::Client;
use crate::activity::entry;
use crate::activity::later::token_key;
use crate::error::{Error, Result, TokenError};
use crate::store::{AttemptBody, TaskKey, TokenBeat};
use crate::wire::to_json;
use abide_core::{ActivityDef, AnyActivityFn, MAX_DETAILS_BYTES, Outcome, Payload, Persist};
use std::marker::PhantomData;

/// One attempt of the activity `D`, by its token: [`Client::activity`].
#[must_use = "nothing is sent before `.complete(..)` or `.heartbeat(..)`"]
pub struct Completion<D> {
    client: Client,
    token: String,
    activity: PhantomData<fn() -> D>,
}

impl Client {
    /// An attempt of `activity` by its token, the text of
    /// [`ActivityContext::completion_token`](crate::activity::ActivityContext::completion_token): for the process in
    /// which its answer arrives. A method is named by its type: `client.activity(Payments::charge, token)`.
    ///
    /// ```
    /// use abide::prelude::*;
    ///
    /// #[activity(complete_later, schedule_to_close = "7d")]
    /// async fn ask_manager(document: String) -> Result<bool, Failure> {
    ///     println!("{document}? Answer with {}", activity::context().completion_token());
    ///     activity::complete_later().await
    /// }
    ///
    /// async fn webhook(client: Client, token: String, approved: bool) -> abide::Result<()> {
    ///     client.activity(ask_manager, token).complete(Ok(approved)).await
    /// }
    /// ```
    pub fn activity<Args, F: AnyActivityFn<Args>>(
        &self,
        activity: F,
        token: impl Into<String>,
    ) -> Completion<F::Def> {
        // Only its type is needed.
        drop(activity);
        Completion { client: self.clone(), token: token.into(), activity: PhantomData }
    }
}

impl<D: ActivityDef> Completion<D> {
    /// Ends the attempt with what the activity returns. An `Err` is a failed attempt like any other: the retry policy
    /// decides whether another one follows, which has a token of its own. It is durable when the await returns. The
    /// workflow may be suspended.
    ///
    /// # Errors
    /// `AB0429` if the token is void or damaged: the attempt has ended, by its token, a time limit or its worker's
    /// death; the workflow does not wait for it any more; or it was retried. A call that is repeated since its answer
    /// was lost gets this too. `AB0403`, `AB0405`, `AB0216` and `AB0217` if the value cannot be stored; the token stays
    /// valid then, as after errors of the database.
    pub fn complete(self, returned: D::Returned) -> impl Future<Output = Result<()>> + Send + use<D> {
        let outcome = entry::encoded::<D>(D::Outcome::split(returned));
        async move {
            let (key, outcome) = (self.key()?, outcome.map_err(|(_, error)| error)?);
            let body = AttemptBody {
                activity: key.activity,
                attempt: key.attempt,
                outcome,
                kept: false,
                details: None,
            };
            let abide = &self.client.abide;
            match abide.store().end_by_token(key, to_json(&body)).await? {
                true => {
                    abide.hub().wake_workers();
                    Ok(())
                }
                false => Err(Self::void()),
            }
        }
    }

    /// Tells that the work goes on, and how far it is. It puts the activity's heartbeat limit off, once its worker has
    /// handed it out, and the next attempt gets the details. Each call is one commit: beat a few times within the
    /// limit, not more often.
    ///
    /// # Errors
    /// `AB0429` if the token is void or damaged, and if the workflow has cancelled the activity and waits for its end:
    /// stop the work then, and complete the attempt. `AB0403`, `AB0216` and `AB0217` if
    /// the details cannot be stored, and `AB0620` if they are over 256 KiB.
    pub fn heartbeat<T: Persist>(&self, details: &T) -> impl Future<Output = Result<()>> + Send + use<D, T> {
        let (client, key, details) = (self.client.clone(), self.key(), Payload::keep(details));
        async move {
            let (key, details) = (key?, details?);
            let bytes = details.as_json().len();
            if bytes > MAX_DETAILS_BYTES {
                return Err(TokenError::DetailsTooLarge { bytes }.into());
            }
            match client.abide.store().beat_by_token(key, details.as_json().to_owned()).await? {
                TokenBeat::Kept => Ok(()),
                TokenBeat::Cancelled => Err(TokenError::Cancelled { activity: D::NAME }.into()),
                TokenBeat::Void => Err(Self::void()),
            }
        }
    }

    fn key(&self) -> Result<TaskKey> {
        self.client.abide.outside()?;
        token_key(&self.token, D::NAME)
            .map_err(|message| TokenError::Invalid { activity: D::NAME, message }.into())
    }

    fn void() -> Error {
        TokenError::Void { activity: D::NAME }.into()
    }
}
