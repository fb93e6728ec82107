pub fn shared_database() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static N: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}_{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
    let ok = std::process::Command::new("psql")
        .args([
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            "55432",
            "-U",
            "postgres",
            "-c",
            &format!("create database {name}"),
        ])
        .status()
        .unwrap();
    assert!(ok.success());
    format!("postgres://postgres@127.0.0.1:55432/{name}")
}

#[derive(Default)]
pub struct Options {
    pub durable: bool,
}
pub struct Cluster;
impl Cluster {
    pub fn start(_: Options) -> Result<Self, std::io::Error> {
        Ok(Self)
    }
    pub fn create_database(&self) -> Result<String, std::io::Error> {
        Ok("postgres://postgres@127.0.0.1:55433/postgres".into())
    }
}
