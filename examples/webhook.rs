//! An activity that a callback completes: a payment provider is told a URL, and calls it when the customer has paid.
//!
//! ```sh
//! cargo run --example webhook                        # prints the URL of the callback, and waits
//! curl -X POST http://127.0.0.1:8087/paid/<token>    # as printed, from another terminal; or `refused` for `paid`
//! ```
//!
//! Kill the program at any time and run it again, before or after the callback: the URL stays good, and the customer is
//! asked once. Between the question and the callback, nothing of this runs anywhere: the activity holds no slot.
//!
//! `WEBHOOK_DIR` is the folder of its database. Default: `target/webhook`. `WEBHOOK_PORT`: 8087.

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

const QUEUE: &str = "webhook";

/// The most bytes of a callback's head.
const MAX_HEAD: usize = 8 * 1024;

#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum NotPaid {
    #[error("the customer refuses to pay")]
    Refused,
    #[error("the customer was not asked")]
    NotAsked,
}

impl NotPaid {
    fn is_worth_another_try(&self) -> bool {
        *self == Self::NotAsked
    }
}

/// Asks for the money, and ships what was paid.
#[workflow]
async fn sell(order: String, cents: u64) -> Result<String, ActivityError<NotPaid>> {
    let receipt = Provider::pay(order, cents).await?;
    Ok(format!("shipped, {receipt}"))
}

/// The payment provider. What it is asked goes to a channel here.
struct Provider {
    url: String,
    asked: UnboundedSender<String>,
}

#[activity]
impl Provider {
    /// Ends when the provider calls back, at most a week later.
    #[activity(complete_later, schedule_to_close = "7d", retry_if = NotPaid::is_worth_another_try)]
    async fn pay(&self, order: String, cents: u64) -> Result<String, NotPaid> {
        let token = activity::context().completion_token();
        let asked = format!("{order}: {cents} cents: {}/paid/{token}", self.url);
        self.asked.send(asked).map_err(|_| NotPaid::NotAsked)?;
        activity::complete_later().await
    }
}

/// Answers callbacks: `POST /paid/<token>` and `POST /refused/<token>`.
async fn serve(listener: TcpListener, client: Client) {
    loop {
        // A connection that breaks is the provider's to repeat.
        if let Ok((stream, _)) = listener.accept().await {
            let client = client.clone();
            tokio::spawn(async move { tokio::time::timeout(secs(10), callback(stream, client)).await });
        }
    }
}

async fn callback(mut stream: TcpStream, client: Client) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.strip_prefix("POST /").and_then(|rest| rest.split_ascii_whitespace().next());
    let paid = match path.and_then(|path| path.split_once('/')) {
        Some(("paid", token)) => {
            client.activity(Provider::pay, token).complete(Ok("receipt 17".to_owned())).await
        }
        Some(("refused", token)) => {
            client.activity(Provider::pay, token).complete(Err(NotPaid::Refused)).await
        }
        _ => return answer(stream, 404, "POST /paid/<token> or /refused/<token>\n").await,
    };
    match paid {
        Ok(()) => answer(stream, 200, "thank you\n").await,
        // 409 for a token that is void, since the callback came before; 503 while the database cannot be written.
        Err(error) => answer(stream, error.kind().http_status(), &format!("{error}\n")).await,
    }
}

async fn answer(mut stream: TcpStream, status: u16, text: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} \r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    stream.write_all(format!("{head}{text}").as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::var_os("WEBHOOK_DIR").map_or_else(|| "target/webhook".into(), PathBuf::from);
    std::fs::create_dir_all(&dir)?;
    let port = std::env::var("WEBHOOK_PORT").unwrap_or_else(|_| "8087".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let abide = Abide::open(dir.join("webhook.db")).await?;
    let (asked, mut questions) = tokio::sync::mpsc::unbounded_channel();
    let worker = abide.worker(QUEUE).workflow(sell).activities(Provider { url, asked }).start().await?;
    let client = abide.client().task_queue(QUEUE);
    tokio::spawn(serve(listener, client.clone()));
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            println!("{question}");
        }
    });
    // The same request id for each run of this program: one order.
    let run = client.start(sell("order-1".to_owned(), 990)).id("order-1").request_id("order-1").await?;
    println!("order-1 waits for its payment");
    tokio::select! {
        sold = run.result() => println!("order-1: {}", sold?),
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    worker.shutdown().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::TestEnv;

    async fn post(to: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let request = format!("POST /{path} HTTP/1.1\r\nhost: {to}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_callback_completes_the_payment_once() {
        let env = TestEnv::start().await.unwrap();
        let (asked, mut questions) = tokio::sync::mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let provider = Provider { url: String::new(), asked };
        let worker = env.worker(QUEUE).workflow(sell).activities(provider).start().await.unwrap();
        let server = tokio::spawn(serve(listener, env.client()));
        let run = env.client().start(sell("order-1".to_owned(), 990)).await.unwrap();
        let question = questions.recv().await.unwrap();
        let paid = question.split_once("/paid/").unwrap().1;
        for (path, status) in [
            ("", 404),
            ("paid/nonsense", 422),
            (&format!("paid/{paid}"), 200),
            (&format!("paid/{paid}"), 409),
        ] {
            let answer = post(here, path).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        }
        assert_eq!(run.result().await.unwrap(), "shipped, receipt 17");
        let run = env.client().start(sell("order-2".to_owned(), 1)).await.unwrap();
        let question = questions.recv().await.unwrap();
        let token = question.split_once("/paid/").unwrap().1;
        assert!(post(here, &format!("refused/{token}")).await.starts_with("HTTP/1.1 200 "));
        let refused = run.result().await;
        assert!(
            matches!(refused, Err(WorkflowError::Failed(ActivityError::Failed(NotPaid::Refused)))),
            "{refused:?}"
        );
        worker.shutdown().await.unwrap();
        server.abort();
    }
}
