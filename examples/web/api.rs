//! The routes. Each makes one call of abide's client: a start, a query, a signal, or a wait for the result.

use crate::orders::{NewOrder, Order, PROGRESS, Receipt, Status};
use crate::refusal::Refusal;
use abide::activity::CancellationToken;
use abide::prelude::*;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use std::time::Duration;

/// How long a request waits for a result, in seconds: the default and the maximum.
const WAIT_S: u64 = 10;
const LONGEST_WAIT_S: u64 = 60;

#[derive(Clone)]
struct Service {
    client: Client,
    stop: CancellationToken,
}

/// All routes. Waiting requests end when `stop` is cancelled.
pub fn routes(client: Client, stop: CancellationToken) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(status))
        .route("/orders/{id}/approval", post(approve))
        .route("/orders/{id}/progress", get(progress))
        .route("/orders/{id}/result", get(result))
        .with_state(Service { client, stop })
}

/// `POST /orders`: 201 when the order is on the disk. The customer chooses its id, which is also the request
/// id: if the request is sent again after a lost answer, it does not place the order twice.
async fn place(State(service): State<Service>, Json(order): Json<NewOrder>) -> Result<Response, Refusal> {
    let id = order.id.clone();
    let started = service.client.start(Order::run(order)).id(&id).request_id(&id).await?;
    let location = [(header::LOCATION, format!("/orders/{id}"))];
    let body = Json(serde_json::json!({ "id": id, "run_id": started.run_id() }));
    Ok((StatusCode::CREATED, location, body).into_response())
}

/// `GET /orders/{id}`: the order's status.
async fn status(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Status>, Refusal> {
    Ok(Json(service.client.handle::<Order>(&id).status().await?))
}

#[derive(Deserialize)]
struct Approval {
    approved: bool,
}

/// `POST /orders/{id}/approval`: 204 when the answer is on the disk, 409 if the order has ended.
async fn approve(
    State(service): State<Service>,
    Path(id): Path<String>,
    Json(approval): Json<Approval>,
) -> Result<StatusCode, Refusal> {
    service.client.handle::<Order>(&id).approve(approval.approved).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /orders/{id}/progress`: the order's statuses as server-sent events, live until it has ended. The id of an event
/// is its offset. A browser that connects again sends it back as `Last-Event-ID`, and goes on behind it.
async fn progress(
    State(service): State<Service>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, abide::Error>>> {
    let mut progress = service.client.handle::<Order>(&id).stream::<Status>(PROGRESS);
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    if let Some(offset) = last {
        progress = progress.after(offset);
    }
    let events = stream::unfold(progress, async |mut progress| {
        let event = match progress.next().await? {
            Ok(item) => Ok(Event::default().id(item.offset.to_string()).data(format!("{:?}", item.value))),
            // What the order published before is not kept any more: the next event goes on.
            Err(error @ abide::Error::StreamBehind { .. }) => Ok(Event::default().comment(error.to_string())),
            Err(error) => Err(error),
        };
        Some((event, progress))
    });
    Sse::new(events.take_until(service.stop.cancelled_owned())).keep_alive(KeepAlive::default())
}

#[derive(Deserialize)]
struct Wait {
    wait_s: Option<u64>,
}

/// `GET /orders/{id}/result?wait_s=10`: 200 with the receipt, or 202 if it is not there in time or the
/// service stops.
async fn result(
    State(service): State<Service>,
    Path(id): Path<String>,
    Query(wait): Query<Wait>,
) -> Result<Response, Refusal> {
    let limit = Duration::from_secs(wait.wait_s.unwrap_or(WAIT_S).min(LONGEST_WAIT_S));
    let order = service.client.handle::<Order>(&id);
    let receipt: Receipt = tokio::select! {
        result = order.result() => result?,
        () = tokio::time::sleep(limit) => return Ok(not_yet()),
        () = service.stop.cancelled() => return Ok(not_yet()),
    };
    Ok(Json(receipt).into_response())
}

fn not_yet() -> Response {
    (StatusCode::ACCEPTED, [(header::RETRY_AFTER, "1")]).into_response()
}
