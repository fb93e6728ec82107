//! [`Location`]: where a database is, as a URL or a path.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a database is: the argument of [`Abide::open`](crate::Abide::open) and
/// [`Abide::builder`](crate::Abide::builder).
///
/// - Text is a URL: `sqlite://orders.db` (relative to the working directory), `sqlite:///var/lib/orders.db`,
///   or `postgres://user:password@host:5432/database`.
/// - A [`Path`] or [`PathBuf`] is the file of an SQLite database. It may contain any characters.
///
/// Text without a scheme is refused with `AB0509`, so that a wrong `DATABASE_URL` does not create a file.
///
/// ```
/// use abide::Location;
/// use std::path::Path;
///
/// assert_eq!(Location::from(Path::new("orders.db")).to_string(), "orders.db");
/// assert_eq!(Location::from("postgres://app:secret@db/orders").to_string(), "postgres://app@db/orders");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Location(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Url(String),
    File(PathBuf),
}

/// A parsed location.
pub(crate) enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl Location {
    /// The database that this location names. `AB0509` if it names none, or one whose feature this build does
    /// not have.
    pub(crate) fn database(&self) -> Result<Database> {
        let url = match &self.0 {
            #[cfg(feature = "sqlite")]
            Place::File(path) => return Ok(Database::Sqlite(path.clone())),
            #[cfg(not(feature = "sqlite"))]
            Place::File(_) => return Err(self.refused("build with abide's feature `sqlite`")),
            Place::Url(url) => url,
        };
        match url.split_once(':').map(|(scheme, rest)| (scheme, rest.strip_prefix("//").unwrap_or(rest))) {
            #[cfg(feature = "sqlite")]
            Some(("sqlite", path)) if !path.is_empty() && !path.contains('?') && !path.contains(":memory:") => {
                Ok(Database::Sqlite(PathBuf::from(path)))
            }
            #[cfg(feature = "sqlite")]
            Some(("sqlite", _)) => Err(self.refused(
                "name a file and nothing else: `sqlite://path/to/file.db`, or pass a `Path`; \
                 `abide::testing` has a database in memory",
            )),
            #[cfg(not(feature = "sqlite"))]
            Some(("sqlite", _)) => Err(self.refused("build with abide's feature `sqlite`")),
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => Ok(Database::Postgres(url.clone())),
            #[cfg(not(feature = "postgres"))]
            Some(("postgres" | "postgresql", _)) => Err(self.refused("build with abide's feature `postgres`")),
            _ => Err(self.refused(
                "use `sqlite://path/to/file.db`, `postgres://user@host/database`, or pass the `Path` of an SQLite file",
            )),
        }
    }

    fn refused(&self, help: &'static str) -> Error {
        Error::UnknownDatabase { url: self.to_string(), help }
    }
}

/// Without the password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Url(url) => f.write_str(&without_password(url)),
            Place::File(path) => path.display().fmt(f),
        }
    }
}

/// Without the password.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.to_string()).finish()
    }
}

impl From<String> for Location {
    fn from(url: String) -> Self {
        Self(Place::Url(url))
    }
}

impl From<&String> for Location {
    fn from(url: &String) -> Self {
        Self(Place::Url(url.clone()))
    }
}

impl From<&str> for Location {
    fn from(url: &str) -> Self {
        Self(Place::Url(url.to_owned()))
    }
}

impl From<Cow<'_, str>> for Location {
    fn from(url: Cow<'_, str>) -> Self {
        Self(Place::Url(url.into_owned()))
    }
}

impl From<PathBuf> for Location {
    fn from(file: PathBuf) -> Self {
        Self(Place::File(file))
    }
}

impl From<&PathBuf> for Location {
    fn from(file: &PathBuf) -> Self {
        Self(Place::File(file.clone()))
    }
}

impl From<&Path> for Location {
    fn from(file: &Path) -> Self {
        Self(Place::File(file.to_owned()))
    }
}

/// The URL as an error may show it: `postgres://user:secret@host/db` without `secret`.
pub(crate) fn without_password(url: &str) -> String {
    let (address, options) = url.split_once('?').map_or((url, None), |(address, rest)| (address, Some(rest)));
    let user_part =
        address.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)));
    let address = match user_part {
        Some((scheme, (user, host))) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{scheme}://{name}@{host}")
        }
        None => address.to_owned(),
    };
    let shown = |options: &str| {
        let plain = options.split('&').filter(|option| !option.starts_with("password="));
        format!("{address}?{}", plain.collect::<Vec<_>>().join("&"))
    };
    options.map_or(address.clone(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_no_password() {
        assert_eq!(without_password("postgres://me:secret@host/db"), "postgres://me@host/db");
        assert_eq!(
            without_password("postgres://h/db?password=secret&sslmode=require"),
            "postgres://h/db?sslmode=require"
        );
        assert_eq!(without_password("sqlite://orders.db"), "sqlite://orders.db");
    }

    #[cfg(all(feature = "sqlite", feature = "postgres"))]
    #[test]
    fn text_is_a_url_and_a_path_is_a_file() {
        let file = |location: Location| match location.database() {
            Ok(Database::Sqlite(file)) => file,
            _ => panic!("{location} names a file"),
        };
        assert_eq!(file("sqlite://orders.db".into()), Path::new("orders.db"));
        assert_eq!(file("sqlite:///tmp/a b.db".into()), Path::new("/tmp/a b.db"));
        assert_eq!(file("sqlite:orders.db".into()), Path::new("orders.db"));
        assert_eq!(file(Path::new("what?:memory:.db").into()), Path::new("what?:memory:.db"));
        assert!(matches!(Location::from("postgresql://host/db").database(), Ok(Database::Postgres(_))));
        for url in ["", "orders.db", "mysql://x", "sqlite://", "sqlite::memory:", "sqlite://a.db?mode=ro"] {
            let refused = Location::from(url).database().map(drop).unwrap_err();
            assert_eq!(refused.code(), "AB0509", "{url}");
        }
    }
}
