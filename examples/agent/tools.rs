//! The tools that the model may use. Each is a variant with its arguments, so the model's wish is decoded
//! before it is granted.

use super::model::say;
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Tool {
    LookUpOrder { order: String },
    ReadPolicy { about: String },
    Refund { order: String, cents: u64 },
    SendMail { to: String, text: String },
}

impl Tool {
    /// What costs money is decided by a person.
    pub fn needs_approval(&self) -> bool {
        matches!(self, Self::Refund { .. })
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookUpOrder { order } => write!(f, "look up the order {order}"),
            Self::ReadPolicy { about } => write!(f, "read the policy about {about}"),
            Self::Refund { order, cents } => write!(f, "refund {cents} cents of the order {order}"),
            Self::SendMail { to, text } => write!(f, "send to {to}: {text}"),
        }
    }
}

/// What the tools reach: a database, a bank, a mail server.
pub struct Shop;

#[activity(start_to_close = "30s", retry(max_attempts = 5))]
impl Shop {
    pub async fn use_tool(&self, tool: Tool) -> Result<String, Failure> {
        // A tool runs again if it is killed before its result is recorded. The bank and the mail server get
        // its key, which is the same each time, and so take it once.
        let key = activity::context().idempotency_key();
        say(&format!("tool: {tool} [{key}]\n")).await?;
        Ok(match tool {
            Tool::LookUpOrder { order } => format!("{order}: one lamp, 4990 cents, paid by ada@example.com"),
            Tool::ReadPolicy { .. } => "broken within a year: the customer gets the money back".into(),
            Tool::Refund { cents, .. } => format!("{cents} cents are on their way"),
            Tool::SendMail { .. } => "sent".into(),
        })
    }
}
