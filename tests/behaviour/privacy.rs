//! What is recorded may be personal data: it is in no log line, no suspension, no failure that the engine
//! words; with `show_values` it is.

use super::ends::{Gate, reason};
use super::listeners::{everything_told, listen};
use super::support::{Db, eventually};
use abide::prelude::*;
use abide::{ExecutionStatus, ListFilter, UntypedHandle};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What must not be told, of one worker alone.
fn secret(of: &str) -> String {
    format!("alice-{of}@example.com")
}

#[derive(Clone, Serialize, Deserialize)]
struct Guest {
    mail: String,
    rooms: Vec<u32>,
    notes: BTreeMap<String, String>,
}

fn guest(mail: &str) -> Guest {
    Guest {
        mail: mail.to_owned(),
        rooms: vec![4, 5],
        notes: BTreeMap::from([(mail.to_owned(), "vip".into())]),
    }
}

#[activity(name = "greet")]
async fn greet(guest: Guest) -> String {
    guest.mail
}

/// As a release that has other types: nothing of it can be read.
#[activity(name = "greet")]
async fn greet_by_number(number: u32) -> u32 {
    number
}

#[activity(name = "book", retry(max_attempts = 2, initial_interval = "1ms"))]
async fn book(guest: Guest) -> Result<u32, Failure> {
    Err(Failure::new(format!("{} rooms are not free", guest.rooms.len())))
}

#[workflow(name = "stay")]
async fn stay(guest: Guest) -> Result<u32, Failure> {
    let greeted = greet(guest.clone()).await?;
    Gate::pass().await?;
    Ok(greeted.len() as u32)
}

/// A release that passes another input.
#[workflow(name = "stay")]
async fn stay_longer(guest: Guest) -> Result<u32, Failure> {
    let mail = format!("{}!", guest.mail);
    let greeted = greet(Guest { mail, ..guest }).await?;
    Gate::pass().await?;
    Ok(greeted.len() as u32)
}

/// One that reads the result as a number.
#[workflow(name = "stay")]
async fn stay_by_number(_guest: Guest) -> Result<u32, Failure> {
    let greeted = greet_by_number(4).await?;
    Gate::pass().await?;
    Ok(greeted)
}

/// One that reads the input as a number.
#[workflow(name = "stay")]
async fn stay_of_number(number: u32) -> u32 {
    number
}

#[workflow]
async fn overbooked(guest: Guest) -> Result<u32, Failure> {
    Ok(book(guest).await?)
}

#[workflow]
async fn greets(guest: Guest) -> Result<String, Failure> {
    Ok(greet(guest).await?)
}

/// Everything of a run that is neither its input nor its result: its description, its row in a list, why it
/// is suspended.
async fn texts(db: &Db, run: &UntypedHandle) -> Vec<String> {
    let described = run.describe().await.unwrap();
    let listed = db.client().list(ListFilter::new()).await.unwrap();
    let why = described.suspension.as_ref().map(|reason| format!("{} {reason}", reason.message()));
    let last = described.pending_activities.iter().filter_map(|pending| pending.last_failure.as_ref());
    let failed: Vec<String> = last.map(ToString::to_string).collect();
    vec![format!("{described:?}"), format!("{listed:?}"), why.unwrap_or_default(), failed.join("\n")]
}

/// Whether the log, or one of these texts, has the secret; and all of them.
fn tells(secret: &str, texts: &[String]) -> (bool, bool) {
    let logged = !everything_told(secret).is_empty();
    (logged, texts.iter().any(|text| text.contains(secret)))
}

/// A run of the first release that a later one takes up, which is suspended over it.
async fn taken_up(of: &str, show: bool, later: impl Fn(WorkerBuilder) -> WorkerBuilder, parts: &[&str]) {
    listen();
    let (db, gate, secret) = (Db::new().await, Gate::closed(), secret(of));
    let first = db.abide.worker("privacy").workflow(stay).activity(greet).activities(gate.clone());
    let first = first.shutdown_grace(secs(0)).start().await.unwrap();
    let run = db.client().start(stay(guest(&secret))).id(format!("stay-{of}")).await.unwrap();
    Gate::reached(&run.untyped()).await;
    first.shutdown().await.unwrap();

    let worker = db.abide.worker("privacy").activities(gate.clone()).build_id("later").show_values(show);
    let worker = later(worker).start().await.unwrap();
    let told = reason(run.result().await);
    for part in parts {
        assert!(told.message().contains(part), "no `{part}` in {}", told.message());
    }
    let mut all = texts(&db, &run.untyped()).await;
    all.push(told.to_string());
    assert!(!everything_told(&format!("stay-{of}")).is_empty(), "its suspension is in the log");
    assert_eq!(tells(&secret, &all), (show, show), "{all:#?} {:#?}", everything_told(&secret));
    worker.shutdown().await.unwrap();
}

fn another_input(worker: WorkerBuilder) -> WorkerBuilder {
    worker.workflow(stay_longer).activity(greet)
}

const OTHER_INPUT: [&str; 2] =
    ["activity `greet` with an input of", "which differs first at `[0].mail`: a string of"];

#[tokio::test]
async fn another_input_of_an_activity() {
    taken_up("ab0201", false, another_input, &OTHER_INPUT).await;
}

#[tokio::test]
async fn another_input_of_an_activity_on_demand() {
    let parts = [&OTHER_INPUT[..], &["Recorded: [{\"mail\":\"alice", "Now: [{\"mail\":\"alice"]].concat();
    taken_up("ab0201-shown", true, another_input, &parts).await;
}

fn another_result(worker: WorkerBuilder) -> WorkerBuilder {
    worker.workflow(stay_by_number).activity(greet_by_number)
}

#[tokio::test]
async fn another_activity_than_the_recorded_one_has_no_input_told() {
    // Its input is another one already, which comes first.
    taken_up(
        "ab0201-result",
        false,
        another_result,
        &["activity `greet` with an input of", "at `[0]`: an object of 3 keys"],
    )
    .await;
}

fn of_number(worker: WorkerBuilder) -> WorkerBuilder {
    worker.workflow(stay_of_number)
}

#[tokio::test]
async fn an_input_that_does_not_decode() {
    taken_up(
        "ab0203",
        false,
        of_number,
        &["the workflow's input does not decode", "invalid type: map, expected u32"],
    )
    .await;
}

#[tokio::test]
async fn an_input_that_does_not_decode_on_demand() {
    taken_up("ab0203-shown", true, of_number, &["expected u32", "Recorded: [{\"mail\":\"alice"]).await;
}

#[tokio::test]
async fn failed_attempts_tell_the_words_of_their_errors_alone() {
    listen();
    for (of, show) in [("attempt", false), ("attempt-shown", true)] {
        let (db, secret) = (Db::new().await, secret(of));
        let worker = db.abide.worker("privacy").workflow(overbooked).activity(book).show_values(show);
        let worker = worker.start().await.unwrap();
        let run = db.client().start(overbooked(guest(&secret))).id(format!("booked-{of}")).await.unwrap();
        let error = run.result().await.unwrap_err();
        let mut all = texts(&db, &run.untyped()).await;
        all.extend([error.to_string(), format!("{error:?}")]);
        let told = everything_told(&format!("booked-{of}"));
        assert!(
            told.iter().any(|line| line.contains("AB0626") && line.contains("2 rooms are not free")),
            "{told:#?}"
        );
        // Nothing went wrong with a value.
        assert_eq!(tells(&secret, &all), (false, false), "{all:#?}");
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_activity_that_cannot_read_its_input() {
    listen();
    for (of, show) in [("ab0604", false), ("ab0604-shown", true)] {
        let (db, secret) = (Db::new().await, secret(of));
        let worker = db.abide.worker("privacy").workflow(greets).activity(greet_by_number).show_values(show);
        let worker = worker.start().await.unwrap();
        let run = db.client().start(greets(guest(&secret))).id(format!("greets-{of}")).await.unwrap();
        let error = run.result().await.unwrap_err();
        let mut all = texts(&db, &run.untyped()).await;
        assert!(
            error.to_string().contains("AB0604") && error.to_string().contains("expected u32"),
            "{error}"
        );
        all.extend([error.to_string(), format!("{error:?}")]);
        assert_eq!(tells(&secret, &all), (show, show), "{all:#?}");
        worker.shutdown().await.unwrap();
    }
}

/// A value whose own `Deserialize` says what it holds: no text of the engine may quote it.
#[derive(Clone, Debug, Serialize)]
struct Loud(Option<f64>, String);

impl<'de> Deserialize<'de> for Loud {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (price, mail) = <(Option<f64>, String)>::deserialize(deserializer)?;
        match price {
            Some(_) => Ok(Self(price, mail)),
            None => Err(serde::de::Error::custom(format!("{mail} has no price"))),
        }
    }
}

#[activity]
async fn quote(mail: String) -> Loud {
    Loud(Some(f64::NAN), mail)
}

#[workflow]
async fn quotes(mail: String) -> Result<String, Failure> {
    Ok(quote(mail).await?.1)
}

#[tokio::test]
async fn a_result_that_does_not_come_back() {
    listen();
    let (db, secret) = (Db::new().await, secret("ab0603"));
    let worker = db.abide.worker("privacy").workflow(quotes).activity(quote).start().await.unwrap();
    let run = db.client().start(quotes(secret.clone())).await.unwrap();
    let error = run.result().await.unwrap_err();
    assert!(
        error.to_string().contains("AB0603") && error.to_string().contains("its `Deserialize` refuses it"),
        "{error}"
    );
    let mut all = texts(&db, &run.untyped()).await;
    all.extend([error.to_string(), format!("{error:?}")]);
    assert_eq!(tells(&secret, &all), (false, false), "{all:#?}");
    worker.shutdown().await.unwrap();
}

/// Takes its signal and its query as one release has them.
#[derive(Default)]
struct Desk {
    mail: String,
}

#[workflow(name = "desk")]
impl Desk {
    #[run]
    async fn run(&mut self) -> String {
        workflow::until!(!self.mail.is_empty()).await;
        self.mail.clone()
    }

    #[signal]
    fn guest(&mut self, mail: String) {
        self.mail = mail;
    }

    #[query]
    fn knows(&self, mail: String) -> bool {
        self.mail == mail
    }
}

/// The same of a release that has numbers.
#[derive(Default)]
struct NumberDesk {
    guest: u32,
}

#[workflow(name = "desk")]
impl NumberDesk {
    #[run]
    async fn run(&mut self) -> String {
        workflow::until!(self.guest > 0).await;
        self.guest.to_string()
    }

    #[signal]
    fn guest(&mut self, guest: u32) {
        self.guest = guest;
    }

    #[query]
    fn knows(&self, guest: u32) -> bool {
        self.guest == guest
    }
}

#[tokio::test]
async fn a_signal_and_a_query_that_do_not_decode() {
    listen();
    let (db, secret) = (Db::new().await, secret("messages"));
    let worker = db.abide.worker("privacy").workflow(NumberDesk::run).start().await.unwrap();
    let run = db.client().start(Desk::run()).id("desk").task_queue("privacy").await.unwrap();
    run.guest(secret.clone()).await.unwrap();
    let error = run.knows(secret.clone()).await.unwrap_err();
    assert_eq!(error.code(), "AB0409");
    eventually("the signal is kept", async || !run.describe().await.unwrap().unhandled_signals.is_empty())
        .await;
    let mut all = texts(&db, &run.untyped()).await;
    all.extend([error.to_string(), format!("{error:?}")]);
    assert_eq!(tells(&secret, &all), (false, false), "{all:#?}");
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Running);
    run.terminate("the test ends").await.unwrap();
    worker.shutdown().await.unwrap();
}
