//! Update with start: what waits for the answer of an update that went with a start (PROTOCOL 49).

use super::asking::{Settled, answer};
use super::{Asked, UpdateError, UpdateHandle};
use crate::activity::TransactionConnection;
use crate::client::first::Sent;
use crate::client::handle::check_type;
use crate::client::start::Checked;
use crate::client::{Handle, HandleCore, Start, WorkflowHandle};
use crate::error::Result;
use crate::future::BoxFuture;
use crate::wire::UpdateBody;
use abide_core::{FirstMessage, UpdateAnswer, UpdateCodec};
use std::future::IntoFuture;
use std::sync::Arc;

/// A start with an update, from [`Start::with`]. `.await` it for the answer of the update. Nothing is sent before.
#[must_use = "a start does nothing until it is awaited"]
pub struct StartUpdate<W, A: UpdateAnswer> {
    pub(in crate::client) start: Start<W>,
    pub(in crate::client) message: Sent,
    pub(in crate::client) codec: &'static UpdateCodec<A>,
}

impl<W: WorkflowHandle, A: UpdateAnswer> StartUpdate<W, A> {
    /// Waits until the start is durable and the update accepted, and not for the update's handler.
    /// [`UpdateHandle::result`] waits for the answer.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] mod demo {
    /// # use abide::prelude::*;
    /// # #[derive(Default)] struct Cart;
    /// # #[workflow] impl Cart {
    /// # #[run] async fn run(&mut self) {}
    /// # #[update] fn add(&mut self, n: u64) -> u64 { n }
    /// # }
    /// # async fn demo(client: Client) -> Result<(), Failure> {
    /// let (cart, update) = client.start(Cart::run()).id("cart-7").with(|cart| cart.add(1)).accepted().await?;
    /// println!("{} has it as {}", cart.id(), update.request_id());
    /// let total = update.result().await?;
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the start, as [`UpdateError::Client`]; those of an update. A run that the start has made goes on if the
    /// update is rejected.
    #[allow(clippy::manual_async_fn, clippy::type_complexity)] // It says that it is `Send`, whatever the update gives.
    pub fn accepted(
        self,
    ) -> impl Future<Output = std::result::Result<(Handle<W>, UpdateHandle<A>), UpdateError<A::Err>>>
    + Send
    + use<W, A> {
        async move {
            let codec = self.codec;
            let (handle, update, settled) = self.send(false).await?;
            match settled {
                Settled::Accepted | Settled::Ended(_) => Ok((handle, update)),
                other => answer(codec, other).and_then(|_| Err(UpdateError::Closed)),
            }
        }
    }

    /// Starts and sends inside your own transaction, on abide's database: both happen exactly if you commit; see
    /// [`Start::within`]. The update is answered only after the commit: then [`UpdateHandle::result`] waits for it.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] mod demo {
    /// # use abide::prelude::*;
    /// # #[derive(Default)] struct Cart;
    /// # #[workflow] impl Cart {
    /// # #[run] async fn run(&mut self) {}
    /// # #[update] fn add(&mut self, n: u64) -> u64 { n }
    /// # }
    /// # async fn demo(client: Client, pool: sqlx::SqlitePool) -> Result<(), Failure> {
    /// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?; // on Postgres: `pool.begin()`
    /// sqlx::query("INSERT INTO visits (cart) VALUES (7)").execute(&mut *tx).await?;
    /// let start = client.start(Cart::run()).id("cart-7").with(|cart| cart.add(1));
    /// let (cart, update) = start.within(&mut *tx).await?;
    /// tx.commit().await?;
    /// let total = update.result().await?;
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Start::within`].
    pub fn within<'c, C: TransactionConnection>(
        self,
        connection: &'c mut C,
    ) -> BoxFuture<'c, Result<(Handle<W>, UpdateHandle<A>)>>
    where
        W: 'c,
        A: 'c,
    {
        Box::pin(async move {
            let (checked, opened, codec) = self.checked()?;
            let handle = checked.run_within(connection).await?;
            let to = HandleCore::untyped(&handle);
            let update = UpdateHandle {
                check: check_type::<W>,
                name: "",
                run: to.bound(),
                update_id: opened.body.update_id,
                ask: Some(opened.ask),
                codec,
                to,
            };
            Ok((handle, update))
        })
    }

    async fn send(self, to_the_end: bool) -> Result<(Handle<W>, UpdateHandle<A>, Settled)> {
        self.start.outside()?;
        let (checked, Opened { body, ask }, codec) = self.checked()?;
        let handle = checked.run().await?;
        let to = HandleCore::untyped(&handle);
        let run = to.locate().await?;
        let (check, name) = (check_type::<W>, "");
        let asked = Asked { to, check, name, codec };
        let (update, settled) = asked.settle(run, body, Some(ask), to_the_end).await?;
        Ok((handle, update, settled))
    }

    fn checked(self) -> Result<(Checked<W>, Opened, &'static UpdateCodec<A>)> {
        let mut checked = self.start.checked(Some(self.message))?;
        let opened = checked.update.take().and_then(Opened::of).expect("the update that was given to it");
        Ok((checked, opened, self.codec))
    }
}

impl<W: WorkflowHandle, A: UpdateAnswer> IntoFuture for StartUpdate<W, A> {
    type Output = std::result::Result<A::Ok, UpdateError<A::Err>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let codec = self.codec;
            let settled = self.send(true).await.map(|(_, _, settled)| settled);
            settled.map_err(UpdateError::Client).and_then(|settled| answer(codec, settled))
        })
    }
}

/// An update as it was sent with a start.
struct Opened {
    body: UpdateBody,
    /// The id of its ask.
    ask: Arc<str>,
}

impl Opened {
    fn of(message: FirstMessage) -> Option<Self> {
        let FirstMessage::Update { update_id, name, input, ask, asker } = message else { return None };
        let body = UpdateBody { update_id, name, input: Some(input), asker };
        Some(Self { body, ask: Arc::from(ask) })
    }
}
