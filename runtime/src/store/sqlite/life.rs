//! Lock files, by which the death of a process is noticed at once.
//!
//! A lock file lies beside the database, has a random name, and is locked (`flock`) while its process lives.
//! A process that can lock another's file knows that the other is gone.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The lock that shows that a worker of this process lives.
#[derive(Debug)]
pub(super) struct LifeLock {
    path: PathBuf,
    /// Locked for as long as it is open.
    _file: File,
}

impl LifeLock {
    pub(super) fn take(path: PathBuf) -> std::io::Result<Self> {
        let file = File::options().create_new(true).write(true).open(&path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => std::io::Error::other("a fresh lock file is locked by somebody"),
        })?;
        Ok(Self { path, _file: file })
    }

    /// Unlocks it and removes the file.
    pub(super) fn leave(self) {
        // A file that stays is harmless: its name is never used again.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Where the lock files of a database lie.
pub(super) fn lock_path(database: &Path, name: &str) -> PathBuf {
    let mut file = database.file_name().unwrap_or_default().to_owned();
    file.push(format!("-{name}.lock"));
    database.with_file_name(file)
}

/// Whether the process that held this lock is gone. If the file is missing, that is unknown, and the lease decides.
pub(super) fn is_free(path: &Path) -> bool {
    // Shared, so that two observers at once do not mistake each other for the owner.
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}
