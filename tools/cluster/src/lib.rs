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
