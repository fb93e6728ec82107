//! The errors, worded so that a developer who only wanted to run the tests knows what to do.

use std::{fmt, io};

/// Why there is no cluster, or why an operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Postgres, or another program that is needed, is missing. The text says how to get it.
    Missing(String),
    /// A program ran and failed.
    Program {
        /// Its name and how it ended.
        what: String,
        /// Its output.
        output: String,
    },
    /// The server did not start, stop or reach the expected state.
    Server {
        /// What it did instead.
        what: String,
        /// What it has logged since its start.
        log: String,
    },
    /// The server refused a statement.
    Sql {
        /// The SQLSTATE, such as `42P01`.
        code: String,
        /// The server's message.
        message: String,
    },
    /// The operating system refused.
    Io {
        /// What was attempted.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(text) => f.write_str(text),
            Self::Program { what, output: more } | Self::Server { what, log: more } => {
                write!(f, "{what}\n{}", more.trim_end())
            }
            Self::Sql { code, message } => write!(f, "{message} (SQLSTATE {code})"),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Adds what was attempted to an error of the operating system.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl fmt::Display) -> Result<T, Error>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: impl fmt::Display) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what.to_string(), source })
    }
}
