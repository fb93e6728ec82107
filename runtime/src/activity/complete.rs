//! How a body says that it is completed later.

use super::context::CURRENT;
use abide_core::Code;

/// Leaves this attempt to the holder of its [token](super::ActivityContext::completion_token): the body ends here, its
/// slot is free, and the workflow waits for the token. It never comes back, so it stands where the result would, and
/// has its type.
///
/// The activity's attribute has the word `complete_later`. With it the attempt is a task in the database, which
/// outlives its worker. A client of any process ends it with [`Client::activity`](crate::Client::activity), also before
/// the body gets here.
///
/// ```
/// use abide::prelude::*;
/// # async fn mail_link(_: &str, _: String) -> Result<(), Failure> { Ok(()) }
///
/// #[activity(complete_later, schedule_to_close = "7d")]
/// async fn ask_manager(document: String) -> Result<bool, Failure> {
///     mail_link(&document, activity::context().completion_token()).await?;
///     activity::complete_later().await
/// }
///
/// // Where the answer arrives, in any process:
/// async fn answered(client: Client, token: String, approved: bool) -> abide::Result<()> {
///     client.activity(ask_manager, token).complete(Ok(approved)).await
/// }
/// ```
///
/// # Panics
/// With `AB0429` outside of an activity's own task: in a unit test that calls the body, and in a task that the body has
/// spawned. Test such an activity in a `TestEnv`, and complete it there by its token.
///
/// An attempt that has no token, since its attribute has not the word, fails with `AB0429` (the attribute refuses that
/// where it sees the call).
pub async fn complete_later<T>() -> T {
    let said = CURRENT.try_with(|context| context.later().say());
    assert!(
        said.is_ok(),
        "{}: `activity::complete_later()` was awaited outside of an activity's own task: await it in the body, which a \
         worker runs; to test the activity, run it in a `TestEnv`",
        Code::ActivityToken
    );
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "AB0429")]
    async fn outside_of_an_attempt_it_panics() {
        complete_later::<()>().await;
    }
}
