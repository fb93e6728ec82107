//! The causes of a [`Failure`](crate::Failure): history stores their texts, and callers of `source()` get
//! errors.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;

/// Causes, outermost first.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub(crate) struct Chain(Option<Box<Cause>>);

/// One cause. Only its text is left.
#[derive(Clone, Debug, PartialEq)]
struct Cause {
    text: String,
    next: Option<Box<Cause>>,
}

impl Chain {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.0.as_deref(), |cause| cause.next.as_deref()).map(|cause| &*cause.text)
    }

    pub(crate) fn first(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|cause| cause as _)
    }
}

impl From<Vec<String>> for Chain {
    fn from(texts: Vec<String>) -> Self {
        let link = |next, text| Some(Box::new(Cause { text, next }));
        Self(texts.into_iter().rfold(None, link))
    }
}

impl From<Chain> for Vec<String> {
    fn from(chain: Chain) -> Self {
        chain.texts().map(str::to_owned).collect()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.next.as_deref().map(|cause| cause as _)
    }
}
