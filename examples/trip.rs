//! A trip: a saga over child workflows. Flight, hotel and car are booked one after the other, each by a workflow
//! of its own. If one of them fails, what was booked before is cancelled, the newest first.
//!
//! ```sh
//! cargo run --example trip
//! ```
//!
//! It books two trips. For one of them no car is left. Kill the program at any time and run it again: both go on
//! where they were, and nothing is booked twice or left behind.
//!
//! `TRIP_DIR` is the folder of its database and of the providers' books. Default: `target/trip`. Delete it to
//! travel again.

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

const QUEUE: &str = "trips";

/// In this program's time.
const DAY: Duration = millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Part {
    Flight,
    Hotel,
    Car,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum NotBooked {
    #[error("sold out")]
    SoldOut,
    #[error("the provider does not answer: {0}")]
    NoAnswer(String),
}

impl NotBooked {
    fn is_transient(&self) -> bool {
        matches!(self, Self::NoAnswer(_))
    }
}

impl From<io::Error> for NotBooked {
    fn from(error: io::Error) -> Self {
        Self::NoAnswer(error.to_string())
    }
}

/// Why there is no trip. A parent gets the error of its child as the value that it was.
#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum NoTrip {
    #[error("no flight: {0}")]
    Flight(ChildError<ActivityError<NotBooked>>),
    #[error("no hotel: {0}")]
    Hotel(ChildError<ActivityError<NotBooked>>),
    #[error("no car: {0}")]
    Car(ChildError<ActivityError<NotBooked>>),
}

/// Books flight, hotel and car, or nothing.
#[workflow]
async fn trip(city: String) -> Result<Vec<String>, NoTrip> {
    // The engine runs the compensations in reverse order if this function returns an error or is cancelled.
    // Each is registered *before* its booking: to cancel what was not booked is harmless, and a trip that is
    // cancelled in the middle of a booking does not know what came of it.
    let mut saga = workflow::saga();

    saga.on_failure(give_back_flight(city.clone())); // a workflow too
    let flight = flight(city.clone()).await.map_err(NoTrip::Flight)?;

    saga.on_failure(Providers::cancel(Part::Hotel, city.clone()));
    let hotel = hotel(city.clone()).await.map_err(NoTrip::Hotel)?;

    saga.on_failure(Providers::cancel(Part::Car, city.clone()));
    let car = car(city).await.map_err(NoTrip::Car)?;
    Ok(vec![flight, hotel, car])
}

/// An airline keeps a seat at once, and sells the ticket a day later.
#[workflow]
async fn flight(city: String) -> Result<String, ActivityError<NotBooked>> {
    let seat = Providers::book(Part::Flight, city).await?;
    workflow::sleep(DAY).await;
    Providers::note(format!("the ticket for {seat} is there")).await?;
    Ok(seat)
}

/// A hotel that is full is asked again the next day, for three days: somebody may have cancelled.
#[workflow]
async fn hotel(city: String) -> Result<String, ActivityError<NotBooked>> {
    for _ in 0..2 {
        match Providers::book(Part::Hotel, city.clone()).await {
            Err(ActivityError::Failed(NotBooked::SoldOut)) => workflow::sleep(DAY).await,
            booked => return booked,
        }
    }
    Providers::book(Part::Hotel, city).await
}

#[workflow]
async fn car(city: String) -> Result<String, ActivityError<NotBooked>> {
    Providers::book(Part::Car, city).await
}

/// The money of a flight comes back days after its cancellation.
#[workflow]
async fn give_back_flight(city: String) -> Result<(), ActivityError<NotBooked>> {
    Providers::cancel(Part::Flight, city.clone()).await?;
    workflow::sleep(2 * DAY).await;
    Ok(Providers::note(format!("the money for the flight to {city} is back")).await?)
}

/// The fake providers. Their books are a folder with a file for each booking, which its part and its city name:
/// so a call that comes again after a kill changes nothing.
struct Providers {
    books: PathBuf,
}

#[activity(start_to_close = "30s", retry(initial_interval = "200ms"))]
impl Providers {
    /// A plain `fn`, because it waits for a file: it runs on the blocking pool.
    #[activity(retry_if = NotBooked::is_transient)]
    fn book(&self, part: Part, city: String) -> Result<String, NotBooked> {
        if part == Part::Car && city == "Reykjavik" {
            println!("{city}: no {part} is left");
            return Err(NotBooked::SoldOut);
        }
        let booking = format!("{part}-{city}");
        fs::write(self.books.join(&booking), activity::context().idempotency_key())?;
        println!("{city}: the {part} is booked");
        Ok(booking)
    }

    #[activity]
    fn cancel(&self, part: Part, city: String) -> Result<(), NotBooked> {
        match fs::remove_file(self.books.join(format!("{part}-{city}"))) {
            Ok(()) => println!("{city}: the {part} is cancelled"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Tells the traveller.
    async fn note(&self, text: String) {
        println!("mail: {text}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::var_os("TRIP_DIR").map_or_else(|| "target/trip".into(), PathBuf::from);
    let books = dir.join("books");
    fs::create_dir_all(&books)?;
    let abide = Abide::open(dir.join("trip.db")).await?;
    let worker = worker(abide.worker(QUEUE)).activities(Providers { books: books.clone() }).start().await?;
    let client = abide.client().task_queue(QUEUE);
    tokio::select! {
        told = travel(&client) => told?,
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    worker.shutdown().await?;

    let mut booked = Vec::new();
    for file in fs::read_dir(books)? {
        booked.push(file?.file_name().to_string_lossy().into_owned());
    }
    booked.sort();
    println!("in the books: {}", booked.join(" "));
    Ok(())
}

fn worker(of: WorkerBuilder) -> WorkerBuilder {
    of.workflow(trip).workflow(flight).workflow(hotel).workflow(car).workflow(give_back_flight)
}

/// Starts both trips, or finds those that an earlier run of this program has started, and waits for their ends.
async fn travel(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    let mut trips = Vec::new();
    for city in ["Lisbon", "Reykjavik"] {
        // The same request id for each run of this program: one trip, also after its end.
        let id = format!("trip-to-{city}");
        trips.push((city, client.start(trip(city.into())).id(&id).request_id(&id).await?));
    }
    for (city, trip) in trips {
        match trip.result().await {
            Ok(booked) => println!("{city}: a trip with {}", booked.join(", ")),
            Err(WorkflowError::Failed(why)) => println!("{city}: no trip ({why})"),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flight => "flight",
            Self::Hotel => "hotel",
            Self::Car => "car",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    fn booked(part: Part, city: &str) -> Result<String, NotBooked> {
        Ok(format!("{part}-{city}"))
    }

    #[tokio::test]
    async fn a_trip_has_all_three_after_some_days() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let books = mock(Providers::book, |part: Part, city: String| booked(part, &city))
            .fail(1, NotBooked::NoAnswer("busy".into()));
        let notes = mock(Providers::note, |_: String| ());
        let worker = worker(env.worker(QUEUE)).mock(&books).mock(&notes).start().await?;
        let trip = env.client().start(trip("Lisbon".into())).await?;
        assert_eq!(trip.result().await?, ["flight-Lisbon", "hotel-Lisbon", "car-Lisbon"]);
        notes.assert_called_with(("the ticket for flight-Lisbon is there".into(),));
        books.assert_called(1 + 3);
        Ok(worker.shutdown().await?)
    }

    #[tokio::test]
    async fn without_a_car_all_is_cancelled_the_newest_first() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let books = mock(Providers::book, |part: Part, city: String| match part {
            Part::Car => Err(NotBooked::SoldOut),
            part => booked(part, &city),
        });
        let cancels = mock(Providers::cancel, |_: Part, _: String| Ok(()));
        let notes = mock(Providers::note, |_: String| ());
        let worker = worker(env.worker(QUEUE)).mock(&books).mock(&cancels).mock(&notes).start().await?;

        let (began, run) = (env.now(), env.client().start(trip("Rome".into())).await?);
        let sold_out = ChildError::Failed(ActivityError::Failed(NotBooked::SoldOut));
        assert!(
            matches!(run.result().await, Err(WorkflowError::Failed(why)) if why == NoTrip::Car(sold_out))
        );
        let order: Vec<_> = cancels.calls().into_iter().map(|(part, _)| part).collect();
        assert_eq!(order, [Part::Car, Part::Hotel, Part::Flight]);
        assert_eq!(notes.calls().len(), 2, "the ticket, and the money that came back");
        // The ticket's day, and the two of the refund: a trip ends when all is undone.
        assert!(env.now().duration_since(began).as_millis() >= (3 * DAY).as_millis() as i128);

        // Cancelled in the middle of a booking, it is undone as well.
        let run = env.client().start(trip("Oslo".into())).await?;
        env.sleep(DAY / 2).await;
        run.cancel("ill").await?;
        assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
        cancels.assert_called_with((Part::Flight, "Oslo".into()));
        Ok(worker.shutdown().await?)
    }

    #[tokio::test]
    async fn a_full_hotel_is_asked_for_three_days() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let books = mock(Providers::book, |part: Part, city: String| booked(part, &city));
        let books = books.fail(2, NotBooked::SoldOut);
        let worker = worker(env.worker(QUEUE)).mock(&books).start().await?;
        assert_eq!(env.client().start(hotel("Rome".into())).await?.result().await?, "hotel-Rome");
        books.assert_called(3);
        Ok(worker.shutdown().await?)
    }
}
