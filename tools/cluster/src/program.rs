//! Runs other programs to their end.

use crate::error::{Error, Tried};
use std::process::{Command, Stdio};

/// Runs a program to its end. Its output is returned only if it failed.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().display().to_string();
    let ran = command.stdin(Stdio::null()).output().tried(format_args!("running `{program}`"))?;
    if ran.status.success() {
        return Ok(());
    }
    let output = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Err(Error::Program { what: format!("`{program}` failed, {}:", ran.status), output })
}
