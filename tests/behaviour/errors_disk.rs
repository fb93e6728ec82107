//! A disk that is really full: a small tmpfs in a mount namespace of a child process.

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

/// Runs this test again as a child, in a namespace where `folder` is a disk of 3 MB.
fn again_on_a_small_disk(folder: &std::path::Path) {
    let mount = "mount -t tmpfs -o size=3m tmpfs \"$0\" && exec \"$1\" --exact \
                 errors_disk::a_disk_that_is_really_full --nocapture";
    // A user namespace of its own (-r) where the user may not mount.
    let options = if is_root() { "-m" } else { "-rm" };
    let mut command = Command::new("unshare");
    command.args([options, "--", "sh", "-c", mount]).arg(folder).arg(std::env::current_exe().unwrap());
    let output = command.env(DISK, folder).output().expect("`unshare` of util-linux is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("it was full and went on"),
        "a small disk could not be made, or the test failed on it; run it as root, or allow user namespaces \
         (`sysctl kernel.unprivileged_userns_clone=1`):\n{text}\n{errors}"
    );
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

#[tokio::test]
async fn a_disk_that_is_really_full() {
    let Some(disk) = std::env::var_os(DISK) else {
        let folder = tempfile::tempdir().unwrap();
        return again_on_a_small_disk(folder.path());
    };
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

    let elsewhere = abide.client().task_queue("elsewhere");
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
