//! The example of a web service, under load and killed: each order that it has acknowledged ends, and is booked once.

use crate::journal::{Database, connect, number};
use crate::scene::{Scene, Victim, dice, within};
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CLIENTS: usize = 64;
const KILLS: u64 = 12;

/// A service and those who call it.
struct Site {
    scene: Scene,
    /// Where the service of the moment listens; 0 before the first.
    port: AtomicU16,
    answers: AtomicU64,
    /// Clients begin nothing new.
    closing: AtomicBool,
}

/// An HTTP answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Value,
}

/// What became of an order.
#[derive(Debug, PartialEq)]
enum Ended {
    Booked(i64),
    Rejected,
}

impl Site {
    fn new() -> Self {
        let (port, answers) = (AtomicU16::new(0), AtomicU64::new(0));
        Self { scene: Scene::new(), port, answers, closing: AtomicBool::new(false) }
    }

    fn spawn(&self) -> Victim {
        let mut command = Command::new(env!("CARGO_BIN_EXE_web"));
        self.scene.start(command.env("DATABASE_URL", self.scene.url()).env("PORT", "0"))
    }

    /// A service that listens.
    fn serve(&self) -> Victim {
        let mut service = self.spawn();
        let port =
            service.until_says_what_begins_with("listening on http://127.0.0.1:", |port| port.parse().ok());
        self.port.store(port, Ordering::SeqCst);
        service
    }

    /// One request, on a connection of its own.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.load(Ordering::SeqCst))).await?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        let answer = read(&said).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        self.answers.fetch_add(1, Ordering::SeqCst);
        Ok(answer)
    }

    /// The server-sent events of an order, as text: up to the first that has `until`, or to the end.
    async fn events(&self, order: &str, behind: Option<&str>, until: &str) -> String {
        let port = self.port.load(Ordering::SeqCst);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it connects");
        let last = behind.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let request = format!(
            "GET /orders/{order}/progress HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{last}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("the service reads");
        let mut said = Vec::new();
        let reading = async {
            while stream.read_buf(&mut said).await.expect("the service answers") > 0 {
                if String::from_utf8_lossy(&said).contains(until) {
                    break;
                }
            }
        };
        within("the events", reading).await;
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Asks until the service has answered: again where it was killed, is not ready, or wants more time.
    async fn answer(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let asking = async {
            loop {
                match self.ask(method, path, body.as_ref()).await {
                    Ok(answer) if ![202, 503].contains(&answer.status) => return answer,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        within(&format!("{method} {path}"), asking).await
    }

    /// Places an order, has it approved or rejected, and waits for its end.
    async fn order(&self, id: &str, approved: bool) -> Ended {
        let order = json!({ "id": id, "customer": "Ada", "cents": 990 });
        let placed = self.answer("POST", "/orders", Some(order)).await;
        assert_eq!(placed.status, 201, "{placed:?}");
        let status = self.answer("GET", &format!("/orders/{id}"), None).await;
        assert_eq!((status.status, status.body), (200, json!("awaiting_approval")));
        let approval = format!("/orders/{id}/approval");
        let sent = self.answer("POST", &approval, Some(json!({ "approved": approved }))).await;
        // 409: it was taken in, the answer was lost, and the order has ended.
        assert!([204, 409].contains(&sent.status), "{sent:?}");
        self.end_of(id).await
    }

    async fn end_of(&self, id: &str) -> Ended {
        let result = self.answer("GET", &format!("/orders/{id}/result?wait_s=5"), None).await;
        match result.status {
            200 => Ended::Booked(result.body["number"].as_i64().expect("a receipt has a number")),
            409 => Ended::Rejected,
            _ => panic!("{id}: {result:?}"),
        }
    }

    /// Orders one after the other until the site closes. Gives how each ended.
    async fn client(&self, client: usize) -> BTreeMap<String, Ended> {
        let mut ended = BTreeMap::new();
        while !self.closing.load(Ordering::SeqCst) {
            let id = format!("order-{client}-{}", ended.len());
            let approved = ended.len() % 4 != 3;
            let end = self.order(&id, approved).await;
            assert_eq!(matches!(end, Ended::Booked(_)), approved, "{id}: {end:?}");
            ended.insert(id, end);
        }
        ended
    }

    /// Waits until clients have had so many answers more.
    async fn answers(&self, more: u64) {
        let wanted = self.answers.load(Ordering::SeqCst) + more;
        let counting = async {
            while self.answers.load(Ordering::SeqCst) < wanted {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within("the service answers", counting).await;
    }

    /// Kills the service again and again, at work or while it starts; gives the last one, which lives.
    async fn kills(&self) -> Victim {
        let mut dice = dice();
        let mut kills = 0;
        while kills < KILLS {
            let service = match dice.below(4) {
                0 => {
                    let service = self.spawn();
                    tokio::time::sleep(dice.wait(Duration::from_millis(100))).await;
                    service
                }
                _ => {
                    let service = self.serve();
                    self.answers(1 + dice.below(400)).await;
                    service
                }
            };
            kills += u64::from(service.kill());
        }
        let service = self.serve();
        self.answers(100).await;
        self.closing.store(true, Ordering::SeqCst);
        service
    }
}

/// Head and body; `None` of an answer that was cut off.
fn read(said: &str) -> Option<Answer> {
    let (head, body) = said.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if length.is_some_and(|(_, length)| length.parse() != Ok(body.len())) {
        return None;
    }
    Some(Answer { status, body: serde_json::from_str(body).unwrap_or_default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_order_that_was_acknowledged_ends_once() {
    let site = Site::new();
    let (clients, service) =
        tokio::join!(join_all((0..CLIENTS).map(|client| site.client(client))), site.kills());
    let ended: BTreeMap<String, Ended> = clients.into_iter().flatten().collect();
    eprintln!("{} orders, {} answers", ended.len(), site.answers.load(Ordering::SeqCst));
    assert!(ended.len() >= CLIENTS);
    for (id, end) in ended.iter().step_by(ended.len() / 20) {
        assert_eq!(site.end_of(id).await, *end, "{id}: its end stays");
    }
    service.signal("-TERM");
    assert!(exit(service).success());

    let database = site.scene.database();
    let booked: BTreeMap<_, _> = ended
        .iter()
        .filter_map(|(id, end)| match end {
            Ended::Booked(number) => Some((id.clone(), *number)),
            Ended::Rejected => None,
        })
        .collect();
    assert_eq!(bookings(database).await, booked.into_iter().map(|(id, n)| (n, id)).collect());
    assert_eq!(number(database, "SELECT count(*) FROM execution").await, ended.len() as i64);
    assert_eq!(number(database, "SELECT count(*) FROM execution WHERE status < 10").await, 0);
}

/// Each row that an order made in the service's own table: number and order.
async fn bookings(database: &Database) -> BTreeMap<i64, String> {
    let rows = connect(database).await.rows("SELECT number, order_id FROM booking").await;
    let rows = rows.expect("the table can be read").into_iter();
    rows.map(|row| match <[Option<String>; 2]>::try_from(row) {
        Ok([Some(number), Some(order)]) => (number.parse().expect("a number"), order),
        other => panic!("{other:?}"),
    })
    .collect()
}

fn exit(mut service: Victim) -> std::process::ExitStatus {
    service.wait()
}

/// A request waits for the result when the signal comes: it is answered, and the service ends.
async fn stop_at_a_waiting_request(site: &Site, mut service: Victim, signal: &str) {
    let mut pause = Duration::from_millis(50);
    loop {
        let waiting = site.ask("GET", "/orders/A-1/result?wait_s=60", None);
        let stopping = async {
            tokio::time::sleep(pause).await;
            service.signal(signal);
        };
        let (answer, ()) = tokio::join!(within("the request is answered", waiting), stopping);
        assert!(exit(service).success(), "{signal}");
        match answer {
            Ok(answer) => return assert_eq!(answer.status, 202, "{signal}"),
            // The signal was there first: the machine is slow.
            Err(error) => assert!(pause < Duration::from_secs(30), "{signal}: {error}"),
        }
        pause *= 2;
        service = site.serve();
    }
}

/// Who watches an order goes on behind the last event, after the service was killed as well.
#[tokio::test]
async fn an_order_is_watched_across_a_kill() {
    let site = Site::new();
    let service = site.serve();
    let order = json!({ "id": "A-1", "customer": "Ada", "cents": 990 });
    assert_eq!(site.answer("POST", "/orders", Some(order)).await.status, 201);
    let first = site.events("A-1", None, "AwaitingApproval\n\n").await;
    let ids: Vec<&str> = first.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids.len(), 1, "{first}");
    assert!(service.kill());
    let service = site.serve();
    let approved = json!({ "approved": true });
    let (rest, _) = tokio::join!(
        site.events("A-1", Some(ids[0].trim()), "Booked\n\n"),
        site.answer("POST", "/orders/A-1/approval", Some(approved))
    );
    let data: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data, ["Booking", "Booked"], "{rest}");
    service.signal("-TERM");
    assert!(exit(service).success());
}

#[tokio::test]
async fn a_service_that_is_asked_to_stop_answers_first() {
    for signal in ["-INT", "-TERM"] {
        let site = Site::new();
        let service = site.serve();
        let order = json!({ "id": "A-1", "customer": "Ada", "cents": 990 });
        assert_eq!(site.answer("POST", "/orders", Some(order.clone())).await.status, 201);
        // Sent again: the same order, not another one.
        assert_eq!(site.answer("POST", "/orders", Some(order)).await.status, 201);
        assert_eq!(site.answer("GET", "/orders/B-2", None).await.status, 404);
        assert_eq!(site.answer("GET", "/orders/A-1/result?wait_s=x", None).await.status, 400);
        let long = json!({ "id": "x".repeat(1_001), "customer": "Ada", "cents": 990 });
        let refused = site.answer("POST", "/orders", Some(long)).await;
        assert_eq!((refused.status, &refused.body["code"]), (422, &json!("AB0412")));

        stop_at_a_waiting_request(&site, service, signal).await;

        // Nothing is lost.
        let service = site.serve();
        // A connection without a request holds nothing up.
        let _idle =
            TcpStream::connect(("127.0.0.1", site.port.load(Ordering::SeqCst))).await.expect("it connects");
        let approval = Some(json!({ "approved": true }));
        assert_eq!(site.answer("POST", "/orders/A-1/approval", approval.clone()).await.status, 204);
        assert_eq!(site.end_of("A-1").await, Ended::Booked(1));
        assert_eq!(site.answer("POST", "/orders/A-1/approval", approval).await.status, 409);
        service.signal(signal);
        assert!(exit(service).success(), "{signal}");
    }
}
