//! The user that the servers run as. Postgres refuses root, so root gives its folders and processes to
//! another user.

use crate::error::{Error, Tried};
use std::process::Command;

/// A user and its group, as numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// `None` means the current user.
    pub(crate) fn for_servers() -> Result<Option<Self>, Error> {
        if !we_are_root()? {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").tried("reading /etc/passwd")?;
        let found = ["postgres", "nobody"].into_iter().find_map(|name| Self::of(name, &users));
        let text = "Postgres refuses to run as root, and /etc/passwd has neither `postgres` nor `nobody`";
        found.map(Some).ok_or_else(|| Error::Missing(text.to_string()))
    }

    fn of(name: &str, users: &str) -> Option<Self> {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        fields.into_iter().find_map(|fields| match fields[..] {
            [user, _, uid, gid, ..] if user == name => {
                Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            }
            _ => None,
        })
    }
}

/// Runs `id`, because std does not have this information.
pub(crate) fn we_are_root() -> Result<bool, Error> {
    let output = Command::new("id").arg("-u").output().tried("running `id -u`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

#[test]
fn an_account_is_read_from_a_line_of_passwd() {
    let users =
        "root:x:0:0:root:/:/bin/sh\nnobodyelse:x:7:7::/:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/sh\n";
    assert_eq!(Account::of("nobody", users), Some(Account { uid: 65534, gid: 65533 }));
    assert_eq!(Account::of("postgres", users), None);
}
