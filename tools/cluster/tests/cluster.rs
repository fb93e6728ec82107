//! Tests of a cluster's guarantees on real clusters: it answers, keeps data, fails over, and leaves nothing
//! behind.

use cluster::{Cluster, Error, Mode, Options, shared, shared_database};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn value(text: &str) -> Option<String> {
    Some(text.to_string())
}

/// Less time than the watchdog waits for a server that it cannot reach: such a server must fail the test
/// here.
#[track_caller]
fn soon(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(15), "not within 15 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_statement_is_answered_or_refused_with_its_code() {
    let cluster = shared();
    let rows = cluster.sql("postgres", "VALUES (1, NULL, ''), (2, 'ä', 'b')").unwrap();
    assert_eq!(rows, [[value("1"), None, value("")], [value("2"), value("ä"), value("b")]]);
    for (database, statement, expected) in
        [("postgres", "SELECT 1; SELECT * FROM gone", "42P01"), ("gone", "SELECT 1", "3D000")]
    {
        match cluster.sql(database, statement) {
            Err(Error::Sql { code, message }) => {
                assert_eq!(code, expected);
                assert!(message.contains("gone"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn each_database_is_another() {
    let [one, two] = [shared_database(), shared_database()];
    assert_ne!(one, two);
    let name = |url: &str| url.rsplit_once('/').map(|(_, name)| name.to_string()).unwrap();
    shared().sql(&name(&one), "CREATE TABLE here ()").unwrap();
    assert!(shared().sql(&name(&two), "SELECT FROM here").is_err());
}

#[test]
fn what_is_committed_outlives_every_kind_of_stop() {
    let settings = vec![("work_mem".to_string(), "1234kB".to_string())];
    let cluster = Cluster::start(Options { settings, ..Options::default() }).unwrap();
    let add = || cluster.sql("postgres", "INSERT INTO kept DEFAULT VALUES").unwrap();
    cluster.sql("postgres", "CREATE TABLE kept (number serial)").unwrap();
    add();
    cluster.restart(Mode::Fast).unwrap();
    add();
    cluster.restart(Mode::Immediate).unwrap();
    add();
    cluster.kill().unwrap();
    assert!(cluster.sql("postgres", "SELECT 1").is_err());
    cluster.start_again().unwrap();
    assert!(cluster.start_again().is_err());
    assert_eq!(cluster.sql("postgres", "SELECT count(*) FROM kept").unwrap(), [[value("3")]]);
    for (name, expected) in [("work_mem", "1234kB"), ("fsync", "off"), ("max_connections", "200")] {
        assert_eq!(cluster.sql("postgres", &format!("SHOW {name}")).unwrap(), [[value(expected)]]);
    }
    // If the postmaster is already dead, the folder must be removed all the same.
    cluster.kill().unwrap();
    let folder = cluster.folder().to_path_buf();
    drop(cluster);
    assert!(!folder.exists());
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let settings = vec![("no_such_setting".to_string(), "it's".to_string())];
    match Cluster::start(Options { settings, ..Options::default() }) {
        Err(Error::Server { log, .. }) => assert!(log.contains("no_such_setting"), "{log}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_replica_has_what_was_committed_when_it_is_promoted() {
    let cluster = Cluster::start(Options::default()).unwrap();
    let replicas = [cluster.add_replica().unwrap(), cluster.add_replica().unwrap()];
    cluster.sql("postgres", "CREATE TABLE kept AS SELECT 1 AS number").unwrap();
    cluster.kill().unwrap();
    for replica in &replicas {
        assert!(replica.sql("postgres", "CREATE TABLE refused ()").is_err());
        replica.promote().unwrap();
        let rows = replica.sql("postgres", "INSERT INTO kept VALUES (2); SELECT * FROM kept").unwrap();
        assert_eq!(rows, [[value("1")], [value("2")]]);
    }
}

#[test]
fn tls_is_vouched_for_by_the_authority() {
    let cluster = Cluster::start(Options { ssl: true, ..Options::default() }).unwrap();
    let address = format!("127.0.0.1:{}", cluster.port());
    let ended = Command::new("openssl")
        .args(["s_client", "-starttls", "postgres", "-verify_return_error", "-verify_ip", "127.0.0.1"])
        .args(["-connect", &address, "-CAfile"])
        .arg(cluster.ca_crt())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Starts an owner process that the test will kill. Returns the folder in which its cluster's folder is.
fn owner(name: &str) -> (Child, PathBuf) {
    let parent = std::env::temp_dir().join(format!("cluster-owner-{}-{name}", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
    command.arg("--folder").arg(&parent).stdin(Stdio::piped()).stdout(Stdio::piped());
    (command.spawn().expect("the binary was built"), parent)
}

/// Whether a process uses that folder, on systems that show this.
fn is_used(folder: &Path) -> bool {
    let name = folder.as_os_str().as_encoded_bytes();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    commands.into_iter().any(|command| command.windows(name.len()).any(|part| part == name))
}

#[track_caller]
fn leaves_nothing(parent: &Path) {
    soon("the folder is gone", || fs::read_dir(parent).is_ok_and(|mut folder| folder.next().is_none()));
    soon("its processes are gone", || !is_used(parent));
    fs::remove_dir(parent).expect("nothing came back");
}

#[test]
fn a_killed_owner_leaves_nothing_behind() {
    let (mut child, parent) = owner("running");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<_> = lines.take(2).map(Result::unwrap).collect();
    let [url, folder] = &lines[..] else { panic!("{lines:?}") };
    let address = url.split(['@', '/']).nth(3).unwrap();
    // A client that stays connected must not keep it running. It asks for TLS, so that there is an answer to
    // wait for.
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert!(Path::new(folder).join("data").is_dir() && is_used(&parent));
    child.kill().unwrap();
    child.wait().unwrap();
    leaves_nothing(&parent);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_owner_may_be_killed_at_any_moment_of_its_start() {
    for after_ms in [5, 60, 400, 750] {
        let (mut child, parent) = owner(&format!("after-{after_ms}-ms"));
        std::thread::sleep(Duration::from_millis(after_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        fs::create_dir_all(&parent).unwrap();
        leaves_nothing(&parent);
    }
}
