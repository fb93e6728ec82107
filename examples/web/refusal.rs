//! Errors as HTTP responses: a status, and a JSON object with a code for programs and a text for people.

use crate::orders::OrderFailed;
use abide::prelude::*;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// A response that is not a success.
pub struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl ToString) -> Self {
        Self { status, code: code.to_string(), message: message.to_string() }
    }
}

/// Errors of abide's client. abide says which status fits: 404, 409, 422, 503 or 500.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = StatusCode::from_u16(error.kind().http_status());
        Self::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.code(), error)
    }
}

/// How an order ends that is not booked.
impl From<WorkflowError<OrderFailed>> for Refusal {
    fn from(error: WorkflowError<OrderFailed>) -> Self {
        match error {
            WorkflowError::Failed(OrderFailed::NotBooked(why)) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "not_booked", why)
            }
            WorkflowError::Failed(refused) => Self::new(StatusCode::CONFLICT, "not_booked", refused),
            WorkflowError::Cancelled | WorkflowError::Terminated => {
                Self::new(StatusCode::GONE, "withdrawn", error)
            }
            WorkflowError::Suspended(reason) => {
                tracing::error!(%reason, "an order waits for an operator");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, reason.code(), "this order waits for an operator")
            }
            WorkflowError::Client(error) => error.into(),
            other => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ended", other),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, mut message } = self;
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code, message, "a request failed");
            // The details are for operators, not for the caller.
            message = "something is wrong here".to_string();
        }
        (status, Json(serde_json::json!({ "code": code, "message": message }))).into_response()
    }
}
