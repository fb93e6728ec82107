//! Opening a Postgres: what is refused, with a code and what to do; migrations by hand; TLS; poolers.

use abide::AbideBuilder;
use abide::prelude::*;
use std::time::Duration;

async fn refused(builder: AbideBuilder) -> abide::Error {
    builder.open().await.map(drop).expect_err("it is refused")
}

#[activity]
async fn double(n: u32) -> u32 {
    2 * n
}

#[workflow]
async fn doubled(n: u32) -> Result<u32, CallError> {
    double(n).await
}

/// Runs a workflow on it.
async fn works(abide: &Abide) {
    let worker = abide.worker("numbers").workflow(doubled).activity(double).start().await.unwrap();
    assert_eq!(abide.client().start(doubled(21)).await.unwrap().result().await.unwrap(), 42);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_reached_says_why_and_shows_no_password() {
    let url = cluster::shared_database();
    let nobody = url.replace("postgres@", "nobody:secret@");
    let nowhere = "postgres://me:secret@127.0.0.1:1/db".to_owned();
    let nothing = format!("{}_no_such_database", url.replace("postgres@", "postgres:secret@"));
    for (url, says) in [(nobody, "nobody"), (nowhere, "refused"), (nothing, "does not exist")] {
        let error = refused(Abide::builder(url).busy_timeout(Duration::from_millis(300))).await;
        assert_eq!(error.code(), "AB0501", "{error}");
        let text = error.to_string();
        assert!(text.contains(says) && !text.contains("secret"), "{text}");
    }
    let error = refused(Abide::builder("postgres://host:port/db")).await;
    assert_eq!(error.code(), "AB0501", "{error}");
}

#[tokio::test]
async fn schemas_have_plain_names_and_are_worlds_of_their_own() {
    let url = cluster::shared_database();
    for name in ["", "Orders", "1st", "a b", "x;drop", "pg_abide", &"a".repeat(51)] {
        let error = refused(Abide::builder(&url).schema(name)).await;
        assert_eq!(error.code(), "AB0501", "{name}");
        assert!(error.to_string().contains("schema's name"), "{error}");
    }
    let (one, two) = (Abide::builder(&url).schema("one"), Abide::builder(&url).schema("_two2"));
    let (one, two) = (one.open().await.unwrap(), two.open().await.unwrap());
    works(&one).await;
    assert_eq!(two.client().list(ListFilter::new()).await.unwrap().executions.len(), 0);
    works(&two).await;
    assert_eq!(one.client().list(ListFilter::new()).await.unwrap().executions.len(), 1);
}

#[tokio::test]
async fn a_schema_of_anothers_is_left_alone_and_a_newer_one_refused() {
    let url = cluster::shared_database();
    let database = url.rsplit('/').next().unwrap();
    let sql = |statement: &str| cluster::shared().sql(database, statement).unwrap();
    sql("CREATE SCHEMA abide; CREATE TABLE abide.invoice (id int)");
    let error = refused(Abide::builder(&url)).await;
    assert_eq!(error.code(), "AB0505", "{error}");
    assert!(error.to_string().contains("invoice"), "{error}");
    sql("DROP TABLE abide.invoice");
    works(&Abide::open(&url).await.unwrap()).await;
    sql("INSERT INTO abide.migration VALUES (99, 'later', 0)");
    assert_eq!(refused(Abide::builder(&url)).await.code(), "AB0506");
}

/// A DBA applies what is printed; a role without rights to the schema then runs everything.
#[tokio::test]
async fn migrations_can_be_applied_by_hand() {
    let url = cluster::shared_database();
    let database = url.rsplit('/').next().unwrap();
    let sql = |statement: &str| cluster::shared().sql(database, statement).unwrap();
    let careful = || Abide::builder(&url).migrate(false);
    assert_eq!(refused(careful()).await.code(), "AB0514");
    let pending = Abide::builder(&url).pending_migrations().await.unwrap();
    assert_eq!(pending.first().map(|migration| migration.version), Some(1));
    assert_eq!(refused(careful()).await.code(), "AB0514", "asking changed nothing");
    for migration in pending {
        sql(&format!("BEGIN; {} COMMIT", migration.sql));
    }
    assert_eq!(Abide::builder(&url).pending_migrations().await.unwrap(), []);
    let role = format!("plain_{database}");
    sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA abide TO {role};
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA abide TO {role};
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA abide TO {role}"
    ));
    let plain = url.replace("postgres@", &format!("{role}@"));
    works(&Abide::open(plain).await.unwrap()).await;
}

#[tokio::test]
async fn tls_is_spoken_and_insisted_on() {
    let options = cluster::Options { ssl: true, ..cluster::Options::default() };
    let secure = cluster::Cluster::start(options).unwrap();
    let url = secure.create_database().unwrap();
    let (ca, host) = (secure.ca_crt(), url.replace("127.0.0.1", "localhost"));
    let verified = format!("{host}?sslmode=verify-full&sslrootcert={}", ca.display());
    let abide = Abide::open(verified).await.unwrap();
    works(&abide).await;
    let plain = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
        WHERE a.application_name LIKE 'abide %' AND NOT s.ssl";
    assert_eq!(secure.sql("postgres", plain).unwrap(), [[Some("0".to_owned())]], "no connection is plain");
    let unknown = refused(Abide::builder(format!("{host}?sslmode=verify-full"))).await;
    assert_eq!(unknown.code(), "AB0501", "nobody vouches for its certificate: {unknown}");
    let plain = cluster::shared_database();
    let error = refused(Abide::builder(format!("{plain}?sslmode=require"))).await;
    assert_eq!(error.code(), "AB0501", "a server without TLS: {error}");
}

#[tokio::test]
async fn a_standby_is_refused() {
    let primary = cluster::Cluster::start(cluster::Options::default()).unwrap();
    let standby = primary.add_replica().unwrap();
    let error = refused(Abide::builder(standby.url("postgres"))).await;
    assert_eq!(error.code(), "AB0502", "{error}");
    drop(primary);
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_recognized() {
    let url = cluster::shared_database();
    let port = crate::pooler::start(cluster::shared().port()).await;
    let pooled = url.replace(&cluster::shared().port().to_string(), &port.to_string());
    let error = refused(Abide::builder(pooled)).await;
    assert_eq!(error.code(), "AB0513", "{error}");
    works(&Abide::open(url).await.unwrap()).await;
}
