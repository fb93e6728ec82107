//! A saga: steps that are undone, newest first, when the workflow fails or is cancelled.

use abide::prelude::*;

#[activity(start_to_close = "30s", retry(max_attempts = 3))]
pub async fn book_hotel(trip: String) -> Result<(), Failure> {
    println!("hotel for {trip}");
    Ok(())
}

#[activity(start_to_close = "30s", retry(max_attempts = 3))]
pub async fn book_flight(trip: String) -> Result<(), Failure> {
    Err(Failure::new(format!("no seat for {trip}")))
}

#[activity(start_to_close = "30s")]
pub async fn cancel_hotel(trip: String) {
    println!("no hotel for {trip}");
}

#[activity(start_to_close = "30s")]
pub async fn cancel_flight(trip: String) {
    println!("no flight for {trip}");
}

#[workflow]
async fn book(trip: String) -> Result<(), Failure> {
    let mut saga = workflow::saga();
    saga.on_failure(cancel_hotel(trip.clone()));
    book_hotel(trip.clone()).await?;
    saga.on_failure(cancel_flight(trip.clone()));
    book_flight(trip).await?;
    Ok(())
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn what_was_booked_is_cancelled() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let hotels = mock(cancel_hotel, |_: String| ());
        let flights = mock(cancel_flight, |_: String| ());
        let worker = env.worker("trips").workflow(book).activity(book_hotel).activity(book_flight);
        let worker = worker.mock(&hotels).mock(&flights).start().await?;
        let ended = env.client().start(book("Rome".into())).await?.result().await;
        assert!(ended.unwrap_err().to_string().contains("no seat for Rome"));
        hotels.assert_called_with(("Rome".into(),));
        flights.assert_called_with(("Rome".into(),));
        Ok(worker.shutdown().await?)
    }
}
