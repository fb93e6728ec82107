//! The log of a home. All its programs write to this file, so that none of them ends because we no longer
//! read a pipe.

use crate::error::{Error, Tried};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

/// The log file, and its length when it was opened.
pub(crate) struct Log {
    file: File,
    start: u64,
}

impl Log {
    /// The file `log` in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("log");
        let opened = File::options().read(true).append(true).create(true).open(&path);
        let file = opened.tried(format_args!("opening {}", path.display()))?;
        let start = file.metadata().tried("reading the log")?.len();
        Ok(Self { file, start })
    }

    /// Makes the log the command's output.
    pub(crate) fn take_from(&self, command: &mut Command) -> Result<(), Error> {
        command.stdout(self.file.try_clone().tried("sharing the log")?);
        command.stderr(self.file.try_clone().tried("sharing the log")?);
        Ok(())
    }

    /// The text that was written since the log was opened.
    pub(crate) fn read(mut self) -> Result<String, Error> {
        let mut bytes = Vec::new();
        let read =
            self.file.seek(SeekFrom::Start(self.start)).and_then(|_| self.file.read_to_end(&mut bytes));
        read.tried("reading the log")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
