//! Installs Debian's Postgres package. Runs only on request, and only as root.

use crate::account::we_are_root;
use crate::error::{Error, Tried};
use crate::program::succeed;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exists on every system with dpkg. A lock on it does not disturb other programs.
const LOCKED: &str = "/var/lib/dpkg";

/// The folder in which `postgresql-common` looks for more settings.
const SETTINGS: &str = "/etc/postgresql-common/createcluster.d";

/// Installs it, unless it is `found`. The check is made under the lock, so that no process finds a
/// half-unpacked package.
pub(crate) fn unless(found: impl Fn() -> Result<bool, Error>) -> Result<(), Error> {
    let locked = File::open(LOCKED).ok();
    if let Some(folder) = &locked {
        folder.lock().tried(format_args!("locking {LOCKED}"))?;
    }
    if found()? {
        return Ok(());
    }
    if locked.is_none() {
        return Err(refused("this is not Debian or one of its like"));
    }
    if !we_are_root()? {
        return Err(refused("that needs root"));
    }
    eprintln!("cluster: installing Debian's package `postgresql`");
    let _no_main_cluster = NoMainCluster::wish()?;
    apt_get(&["update"])?;
    apt_get(&["install", "-y", "--no-install-recommends", "postgresql"])
}

fn refused(why: &str) -> Error {
    let text = "cannot install Postgres: ";
    let help = "\n  help: install it yourself, or name the folder of its programs in ABIDE_POSTGRES_BIN";
    Error::Missing(format!("{text}{why}{help}"))
}

fn apt_get(arguments: &[&str]) -> Result<(), Error> {
    let mut command = Command::new("apt-get");
    command.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    succeed(&mut command)
}

/// While this exists, the package does not create and start a cluster for the whole machine.
struct NoMainCluster(PathBuf);

impl NoMainCluster {
    fn wish() -> Result<Self, Error> {
        let file = Path::new(SETTINGS).join("abide.conf");
        let written =
            fs::create_dir_all(SETTINGS).and_then(|()| fs::write(&file, "create_main_cluster = false\n"));
        written.tried(format_args!("writing {}", file.display()))?;
        Ok(Self(file))
    }
}

impl Drop for NoMainCluster {
    fn drop(&mut self) {
        // If the setting stays, it does no harm: it only prevents a cluster.
        let _ = fs::remove_file(&self.0);
    }
}
