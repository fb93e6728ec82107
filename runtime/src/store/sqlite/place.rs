//! Where the database lies: its URL, its file, its file system. Reports early, with a code, what SQLite would
//! report late and unclearly.

use crate::store::StoreError;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// File systems whose locks are not kept between machines, as `/proc/self/mountinfo` names them. Not in the list:
/// 9p, which is also what some sandboxes show as their root.
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb2",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "lustre",
    "beegfs",
    "gpfs",
    "ncpfs",
    "davfs",
    "fuse.davfs",
    "fuse.s3fs",
    "fuse.rclone",
];

/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Checks all that can be checked without SQLite, and returns the path with its folder resolved, so that every process
/// finds the same lock files beside it.
pub(super) fn check(path: &Path) -> Result<PathBuf, StoreError> {
    let open = |message: String, error: Option<std::io::Error>| StoreError::Open {
        path: path.display().to_string(),
        message,
        source: error.map(|error| std::sync::Arc::new(error) as _),
    };
    if path.is_dir() {
        return Err(open("it is a directory; name a file in it".to_owned(), None));
    }
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(_) => {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = path.file_name().ok_or_else(|| open("it names no file".to_owned(), None))?;
            let real = folder.canonicalize().map_err(|error| {
                open(format!("its folder `{}` cannot be entered: {error}", folder.display()), Some(error))
            })?;
            real.join(name)
        }
    };
    if let Some(kind) = network_file_system(&path) {
        return Err(StoreError::Network { path: path.display().to_string(), kind });
    }
    if path.exists() {
        check_file(&path)?;
    }
    Ok(path)
}

/// Readable, writable, and SQLite's (or empty: SQLite makes its file so).
fn check_file(path: &Path) -> Result<(), StoreError> {
    let shown = path.display().to_string();
    let mut file = File::open(path).map_err(|error| StoreError::Open {
        path: shown.clone(),
        message: error.to_string(),
        source: Some(std::sync::Arc::new(error)),
    })?;
    let mut head = Vec::with_capacity(MAGIC.len());
    let read = Read::by_ref(&mut file).take(MAGIC.len() as u64).read_to_end(&mut head);
    if read.is_ok() && !head.is_empty() && head != MAGIC {
        return Err(StoreError::Foreign { path: shown, message: "it is not an SQLite file".to_owned() });
    }
    let read_only = file.metadata().is_ok_and(|meta| meta.permissions().readonly());
    if read_only || File::options().write(true).open(path).is_err() {
        return Err(StoreError::ReadOnly { path: shown });
    }
    Ok(())
}

/// The kind of file system, if SQLite's locks cannot be trusted on it. Known on Linux only.
fn network_file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = file_system(&mounts, path)?;
    NETWORK.contains(&kind).then(|| kind.to_owned())
}

/// The file system of `path`: that of the longest mount point above it. Of equal ones the last covers the others.
/// A line: `36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/sda1 rw`.
fn file_system<'m>(mounts: &'m str, path: &Path) -> Option<&'m str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else { continue };
        let point = point.replace("\\040", " ");
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        40 22 0:35 / /home/net\\040work rw - nfs4 server:/export rw\n\
        41 22 0:36 / /mnt rw master:2 - tmpfs tmpfs rw\n\
        42 41 0:37 / /mnt/share rw - cifs //server/share rw\n\
        43 42 0:38 / /mnt/share rw - ext4 /dev/sdb1 rw\n";

    #[test]
    fn the_longest_mount_point_tells_the_file_system() {
        let kind = |path: &str| file_system(MOUNTS, Path::new(path));
        assert_eq!(kind("/var/orders.db"), Some("ext4"));
        assert_eq!(kind("/home/net work/orders.db"), Some("nfs4"));
        assert_eq!(kind("/mnt/orders.db"), Some("tmpfs"));
        assert_eq!(kind("/mntx/orders.db"), Some("ext4"));
        assert_eq!(kind("/mnt/share/orders.db"), Some("ext4"), "a later mount covers an earlier one");
    }
}
