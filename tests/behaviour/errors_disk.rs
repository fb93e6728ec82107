//! A disk that is really full: a small tmpfs in a mount namespace of a child process. Where namespaces cannot be made
//! (no root), the injected fault of `errors_database.rs` has to do, and this test says so.

use super::support::{Log, Steps, eventually};
use abide::prelude::*;
use std::process::Command;

/// The mount point, for the child.
const DISK: &str = "ABIDE_TEST_SMALL_DISK";

#[workflow]
async fn hoard(n: u32) -> Result<u32, Failure> {
    let mut sum = 0;
    for step in 0..n {
        sum += Steps::note(step).await?;
    }
    Ok(sum)
}

/// Runs this program again, with one test, in a namespace where a folder is a disk of 3 MB.
fn child(test: &str, folder: &std::path::Path) -> Option<std::process::Output> {
    let mount = "mount -t tmpfs -o size=3m tmpfs \"$0\" || exit 77; exec \"$1\" --exact \"$2\" --nocapture";
    let program = std::env::current_exe().ok()?;
    let mut command = Command::new("unshare");
    command.args(["-m", "--", "sh", "-c", mount]).arg(folder).arg(program).arg(test).env(DISK, folder);
    command.output().ok().filter(|output| output.status.code() != Some(77))
}

#[test]
fn a_disk_that_is_really_full() {
    let folder = tempfile::tempdir().unwrap();
    match child("errors_disk::in_the_namespace", folder.path()) {
        Some(output) if String::from_utf8_lossy(&output.stderr).contains("unshare") => {
            eprintln!("skipped: no mount namespace here");
        }
        None => eprintln!("skipped: no mount namespace here"),
        Some(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && text.contains("it was full and went on"), "{text}\n{errors}");
        }
    }
}

/// The child's part; does nothing elsewhere.
#[tokio::test]
async fn in_the_namespace() {
    let Some(disk) = std::env::var_os(DISK) else { return };
    let disk = std::path::PathBuf::from(disk);
    let url = format!("sqlite://{}", disk.join("abide.db").display());
    let abide = Abide::builder(url).busy_timeout(std::time::Duration::from_millis(300)).open().await.unwrap();
    let log = Log::default();
    let worker = abide.worker("disk").workflow(hoard).activities(Steps(log.clone())).start().await.unwrap();
    let first = abide.client().start(hoard(3)).await.unwrap();
    assert_eq!(first.result().await.unwrap(), 3);

    // Somebody else takes all the room.
    let ballast = disk.join("ballast");
    let mut left = vec![0_u8; 64 * 1024];
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &left).is_ok() {}
    left.truncate(1);
    while std::io::Write::write_all(&mut file, &left).is_ok() {}

    let elsewhere = abide.client().queue("elsewhere");
    let mut refused = None;
    for _ in 0..2_000 {
        // The file has a few pages to spare; large inputs use them up.
        match elsewhere.start(spill("x".repeat(20_000))).await {
            Ok(_) => {}
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert_eq!(refused.expect("the disk is full").code(), "AB0504");
    let client = abide.client();
    let waiting = tokio::spawn(async move { client.start(hoard(4)).await.unwrap().result().await.unwrap() });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    std::fs::remove_file(&ballast).unwrap();
    drop(file);
    eventually("it goes on", async || waiting.is_finished()).await;
    assert_eq!(waiting.await.unwrap(), 6);
    assert_eq!(first.result().await.unwrap(), 3, "what was acknowledged is there");
    worker.shutdown().await.unwrap();
    println!("it was full and went on");
}

#[workflow]
async fn spill(text: String) -> usize {
    text.len()
}
