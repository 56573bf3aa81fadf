//! Passwords and credentials are rotated under functions that live on: real users of a real MariaDB, a real nginx before
//! Elasticsearch, real secrets in Secrets Manager.

use super::{FROM, NOBODY, NOON, TO, assert_recovered, deferred, harvested, indexed};
#[cfg(feature = "full")]
use crate::stage::HttpProxy;
use crate::stage::{Addresses, Authority, Exports, Function, LedgerServer, Nginx, Secret, Stage};
use serde_json::{Value, json};
#[cfg(feature = "full")]
use std::time::{Duration, Instant};

/// Whose password is rotated. The stage's own eyes are another user.
const USER: &str = "granary_rotating";

/// Services of the test's own, and secrets that let the functions in.
struct Doors {
    server: LedgerServer,
    nginx: Nginx,
    of_ledger: Secret,
    of_source: Secret,
    /// Where the ledger is, and by what name.
    ledger: url::Url,
    /// The certificate of nginx belongs to it.
    authority: Authority,
}

impl Doors {
    /// What lets functions in, with this password at each.
    async fn of(stage: &Stage, server: LedgerServer, password: &str) -> Self {
        let authority = Authority::new();
        let certificate = authority.sign("IP:127.0.0.1");
        let nginx = Nginx::before(stage.setting("GRANARY_ES_URL"), &certificate).await;
        nginx.let_in("reader", password);
        let created = format!("CREATE USER {USER} IDENTIFIED BY '{password}'");
        server.administer(&created).await;
        let granted = format!("GRANT ALL PRIVILEGES ON `granary%`.* TO {USER}");
        server.administer(&granted).await;
        let ledger = stage.setting("GRANARY_LEDGER_URL").parse().unwrap();
        let of_ledger = Secret::new(&of_ledger(&ledger, password)).await;
        Self {
            server,
            nginx,
            of_ledger,
            of_source: Secret::new(&of_source(password)).await,
            ledger,
            authority,
        }
    }

    fn open_for(&self, stage: &mut Stage) {
        stage.tell(&[
            ("GRANARY_LEDGER_SECRET_ARN", &self.of_ledger.arn),
            ("GRANARY_LEDGER_URL", ""),
            ("GRANARY_ES_SECRET_ARN", &self.of_source.arn),
            ("GRANARY_ES_URL", &self.nginx.url),
            ("GRANARY_ES_CA", &self.authority.pem()),
        ]);
    }

    /// The server takes this password from now on, and connections by another one are closed.
    async fn change_password_of_ledger(&self, password: &str) {
        let changed = format!("ALTER USER {USER} IDENTIFIED BY '{password}'");
        self.server.administer(&changed).await;
        self.server.end_connections_of(USER).await;
    }

    async fn forget(self) {
        self.of_ledger.forget().await;
        self.of_source.forget().await;
    }
}

/// A stage whose functions come in by the secrets alone.
async fn behind_doors(name: &str, settings: &[(&str, &str)]) -> (Stage, Doors) {
    let server = LedgerServer::start().await;
    let addresses = Addresses::from_environment().with_ledger_server(&server);
    let mut stage = Stage::at(addresses, name, settings).await;
    let doors = Doors::of(&stage, server, "first").await;
    doors.open_for(&mut stage);
    (stage, doors)
}

/// As the console of RDS makes it.
fn of_ledger(url: &url::Url, password: &str) -> Value {
    json!({
        "username": USER, "password": password, "engine": "mariadb", "host": url.host_str().unwrap(),
        "port": url.port().unwrap(), "dbname": url.path().trim_start_matches('/'), "dbInstanceIdentifier": "granary",
    })
}

fn of_source(password: &str) -> Value {
    json!({"username": "reader", "password": password})
}

fn pids(functions: [&Function; 4]) -> [Option<u32>; 4] {
    functions.map(Function::pid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_both_secrets_are_rotated_in_mid_run_and_warm_functions_find_the_new_ones() {
    let (stage, doors) = behind_doors("rotated", &[("GRANARY_BATCH_SIZE", "20")]).await;
    let second = of_ledger(&doors.ledger, "second");
    let messages = indexed(&stage).await;
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    stage.reap().await;
    // Each of them is warm: it has a connection, and has asked Elasticsearch.
    let both = [stage.exporter(0), stage.exporter(1)];
    for exporter in both {
        let (queue, message) = stage.queues.receive().await.expect("ten batches were sent");
        let event = crate::stage::sqs_event(&[(queue, &message)]);
        exporter
            .invoke(event, crate::stage::EXPORTER_TIMEOUT)
            .await
            .unwrap();
        stage.queues.delete(queue, &message).await;
    }
    let warm = pids([&stage.harvester, &stage.reaper, both[0], both[1]]);
    stage.backfill(NOON, TO).await;

    let (exports, ()) = tokio::join!(stage.export_all(), async {
        stage.until("SELECT COUNT(*) >= 4 FROM attempt").await;
        doors.of_ledger.rotate(&second).await;
        doors.of_source.rotate(&of_source("second")).await;
        doors.change_password_of_ledger("second").await;
        doors.nginx.let_in("reader", "second");
    });
    stage.let_visibility_end(&exports).await;
    assert_recovered(&stage, &messages).await;
    assert_eq!(
        pids([&stage.harvester, &stage.reaper, both[0], both[1]]),
        warm,
        "no process was started again"
    );
    stage.finish().await;
    doors.forget().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_a_credential_that_stays_wrong_uses_no_attempt_up_and_raises_one_alert_that_names_it() {
    let (mut stage, doors) = behind_doors("wrong-credential", &[]).await;
    let messages = harvested(&stage).await;
    doors.nginx.let_in("reader", "second");
    for _ in 0..2 {
        let exports = stage.export_all().await;
        assert_eq!(
            (exports.returned.len(), exports.errors.len()),
            (0, 0),
            "{exports:?}"
        );
        stage.let_delays_end().await;
        stage.reap().await;
    }
    assert!(deferred(&stage, "source_login").await >= 4);
    assert_eq!(
        stage.queues.told().await,
        NOBODY,
        "a rotation may not be over yet"
    );
    let burnt: u64 = stage.row("SELECT COUNT(*) FROM batch WHERE attempts > 0").await;
    assert_eq!(burnt, 0);

    stage
        .sql("UPDATE batch SET deferred_since = deferred_since - INTERVAL 6 MINUTE")
        .await;
    for _ in 0..2 {
        stage.reap().await;
    }
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("source_login") && told[0].contains("GRANARY_ES_SECRET_ARN"),
        "{told:?}"
    );

    // The secret is mended, and new processes read it.
    doors.of_source.rotate(&of_source("second")).await;
    doors.open_for(&mut stage);
    stage.run_until_quiet().await;
    let told = stage.queues.told().await;
    assert!(
        told.len() == 1 && told[0].contains("nothing waits for this any more"),
        "{told:?}"
    );
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
    doors.forget().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_a_ledger_that_refuses_the_login_is_told_directly_once_and_when_it_is_over() {
    let (stage, doors) = behind_doors("wrong-password", &[]).await;
    let messages = harvested(&stage).await;
    stage.reap().await;
    let pid = stage.reaper.pid();
    doors.change_password_of_ledger("second").await;
    for tick in 1..=7 {
        let error = stage.try_reap().await.unwrap_err();
        assert!(format!("{error:?}").contains("1045"), "{error:?}");
        let told = stage.queues.told().await;
        assert_eq!(told.len(), usize::from(tick == 5), "at tick {tick}: {told:?}");
        assert!(
            told.iter().all(|text| text.contains("GRANARY_LEDGER_SECRET_ARN")),
            "{told:?}"
        );
    }
    let exports: Exports = stage.export_one().await;
    assert_eq!(
        exports.returned.len(),
        1,
        "a message that can't be claimed goes back"
    );
    // One that starts meanwhile can't work, and lives on.
    let another = stage.another("reaper", &[]);
    for _ in 0..2 {
        let ticked = another.invoke(json!({}), crate::stage::REAPER_TIMEOUT).await;
        assert!(format!("{ticked:?}").contains("ReapFailed"), "{ticked:?}");
    }

    doors.change_password_of_ledger("first").await;
    stage.reap().await;
    let told = stage.queues.told().await;
    assert!(
        told.len() == 1 && told[0].contains("accepts the login again"),
        "{told:?}"
    );
    assert_eq!(stage.reaper.pid(), pid, "it is the same process all along");
    another
        .invoke(json!({}), crate::stage::REAPER_TIMEOUT)
        .await
        .unwrap();
    another.kill().await;
    stage.let_visibility_end(&exports).await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
    doors.forget().await;
}

#[cfg(feature = "full")]
const WRONG_FOR: Duration = Duration::from_secs(600);
#[cfg(feature = "full")]
const READINGS_MAX: usize = 200;

#[cfg(feature = "full")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_eight_exporters_with_a_wrong_secret_for_ten_minutes_read_it_seldom_and_use_no_attempt_up() {
    let (mut stage, doors) = behind_doors("wrong-for-long", &[("GRANARY_BATCH_SIZE", "20")]).await;
    let aws = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    stage.tell(&[("AWS_ENDPOINT_URL_SECRETS_MANAGER", &aws.url)]);
    stage.have_exporters(8);
    let messages = indexed(&stage).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    doors.nginx.let_in("reader", "second");
    let (begun, read_before) = (Instant::now(), aws.asked().len());
    while begun.elapsed() < WRONG_FOR {
        let exports = stage.export_all().await;
        assert_eq!(
            (exports.returned.len(), exports.errors.len()),
            (0, 0),
            "{exports:?}"
        );
        stage.let_delays_end().await;
        stage.reap().await;
    }
    let read = aws.asked().len() - read_before;
    eprintln!("8 exporters read their secrets {read} times in 10 minutes");
    assert!(read <= READINGS_MAX, "{read}");
    let burnt: u64 = stage.row("SELECT COUNT(*) FROM batch WHERE attempts > 0").await;
    assert_eq!(burnt, 0);

    doors.nginx.let_in("reader", "first");
    stage.run_until_quiet().await;
    stage.queues.told().await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
    doors.forget().await;
}
