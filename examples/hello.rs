//! The smallest service: one activity, one workflow.
use abide::prelude::*;

#[activity(start_to_close = "10s")]
async fn greet(name: String) -> String {
    format!("Hello, {name}!")
}

#[workflow]
async fn hello(name: String) -> Result<String, Failure> {
    let greeting = greet(name.clone()).await?; // recorded: never run again
    workflow::sleep(secs(1)).await; // durable: survives a restart
    let farewell = greet(format!("{name}, again")).await?;
    Ok(format!("{greeting} {farewell}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init(); // the log
    let abide = Abide::open("sqlite://hello.db").await?; // a file, made where it is not there
    let worker = abide.worker("greetings").workflow(hello).activity(greet).start().await?;
    let run = abide.client().start(hello("world".to_string())).await?;
    println!("{}", run.result().await?);
    Ok(worker.shutdown().await?)
}
