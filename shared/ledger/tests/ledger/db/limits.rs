//! How long the ledger is waited for, what a connection costs the server, and what a server's answers ask for.

use crate::forwarder::Forwarder;
use crate::stage::{LEASE, Stage, instant, many, with_numbers};
use granary_domain::{MigrationId, MigrationKind, Priority};
use granary_ledger::export::{Claim, Exception};
use granary_ledger::harvest::NewMigration;
use granary_ledger::{Ledger, LedgerError, LedgerSettings, Remedy};
use granary_test_database::{LedgerServer, ServerKind};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use std::time::{Duration, Instant};
use uuid::Uuid;

const MEMORY_MAX: u64 = 16 * 1_024 * 1_024;
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 500;

/// A connection that may do anything on the server under test.
async fn administrator() -> Conn {
    let url = std::env::var("LEDGER_ADMIN_URL").expect("LEDGER_ADMIN_URL is set by the local stack's env");
    let opts = Opts::from_url(&url).unwrap();
    Conn::new(OptsBuilder::from_opts(opts).prefer_socket(false))
        .await
        .unwrap()
}

/// A user of this test's own, with these limits, and with these rights to the stage's database.
struct User<'a> {
    name: String,
    stage: &'a Stage,
}

impl<'a> User<'a> {
    async fn new(stage: &'a Stage, rights: &str, limits: &str) -> Self {
        let unique = Uuid::now_v7().simple().to_string();
        let name = format!("g_{}", &unique[unique.len() - 12..]);
        let mut conn = administrator().await;
        let database = stage.database.name();
        for statement in [
            format!("CREATE USER '{name}'@'%' IDENTIFIED BY 'of-a-test'"),
            format!("GRANT {rights} ON `{database}`.* TO '{name}'@'%'"),
            format!("ALTER USER '{name}'@'%' {limits}"),
        ] {
            conn.query_drop(statement).await.unwrap();
        }
        conn.disconnect().await.unwrap();
        Self { name, stage }
    }

    fn settings(&self, password: &str) -> LedgerSettings {
        let of_stage = std::env::var("LEDGER_URL").unwrap();
        let (_, server) = of_stage.split_once('@').unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        let url = format!(
            "mysql://{}:{password}@{server}/{}",
            self.name,
            self.stage.database.name()
        );
        LedgerSettings {
            url: url.into(),
            connections_max: 2,
        }
    }

    fn ledger(&self, password: &str) -> Ledger {
        Ledger::new(&self.settings(password)).unwrap()
    }

    async fn drop(self) {
        let mut conn = administrator().await;
        conn.query_drop(format!("DROP USER '{}'@'%'", self.name))
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
    }
}

/// The most memory that any connection to a database ever had, in bytes, as the server counts it.
async fn most_memory(database: &str) -> u64 {
    let mut conn = administrator().await;
    let version: Option<String> = conn.query_first("SELECT VERSION()").await.unwrap();
    let query = if version.unwrap().contains("MariaDB") {
        "SELECT MAX(max_memory_used) FROM information_schema.processlist WHERE db = ?"
    } else {
        "SELECT MAX(max_total_memory) FROM performance_schema.threads WHERE processlist_db = ?"
    };
    let most: Option<u64> = conn.exec_first(query, (database,)).await.unwrap();
    conn.disconnect().await.unwrap();
    most.expect("the ledger is connected")
}

/// Pages of every length, new and known, exceptions and look-ups: what a day brings, on two connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_costs_the_server_16_mb_at_most_whatever_it_was_asked() {
    let stage = Stage::new().await;
    let ledger = Ledger::connect(&stage.database.settings(2)).await.unwrap();
    with_numbers(&ledger).await;
    let lengths = [1, 3, 17, 130, 999, 1_001, 2_500, 5_000, 7_777, 9_999, 10_000];
    let mut window = stage.window(1_000).await;
    for (number, length) in lengths.into_iter().enumerate() {
        let messages = many(&format!("p{number:02}-"), length);
        for _ in 0..2 {
            let recorded = crate::stage::record_page(&ledger, &window, &messages).await;
            let granary_ledger::harvest::Recorded::Done { tally, .. } = recorded else {
                panic!("the window is this test's");
            };
            window.pages += 1;
            window.tally = tally;
        }
        let ids: Vec<_> = messages.iter().map(|message| &message.message_id).collect();
        assert_eq!(ledger.standings_of_ids(&ids).await.unwrap().len(), length);
        assert_eq!(ledger.places_of_ids(&ids).await.unwrap().len(), length);
    }
    ledger
        .mark_sent(&ledger.unsent(None, 1_000).await.unwrap())
        .await
        .unwrap();
    let batch: u64 = stage
        .database
        .row("SELECT id FROM batch WHERE message_count = 1000 LIMIT 1")
        .await;
    let Claim::Won(batch) = ledger
        .claim(granary_domain::BatchId(batch), "worker", LEASE)
        .await
        .unwrap()
    else {
        panic!("nobody else wants it");
    };
    let owned = ledger.messages_of(batch.id).await.unwrap();
    for count in [1_000, 900, 30] {
        let exceptions: Vec<Exception> = owned
            .iter()
            .take(count)
            .map(|message| Exception {
                message_id: message.message_id.clone(),
                outcome: granary_domain::Outcome::Missing,
                reason: "it is gone".to_owned(),
            })
            .collect();
        ledger.record_exceptions(&batch, &exceptions).await.unwrap();
    }
    let most = most_memory(stage.database.name()).await;
    assert!(most <= MEMORY_MAX, "{most} bytes");
}

/// The system accepts connections for whoever listens; nothing ever answers on them.
#[tokio::test]
async fn d1_a_server_that_accepts_and_never_answers_is_given_up_within_seconds() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "mysql://granary:secret@{}/granary",
        listener.local_addr().unwrap()
    );
    let settings = LedgerSettings {
        url: url.into(),
        connections_max: 2,
    };
    let patient = Ledger::new(&settings).unwrap();
    let impatient = Ledger::new(&settings).unwrap().impatient();
    let begun = Instant::now();
    let ((patient, patient_took), (impatient, impatient_took)) = tokio::join!(
        async { (patient.ready().await.unwrap_err(), begun.elapsed()) },
        async { (impatient.ready().await.unwrap_err(), begun.elapsed()) }
    );
    assert!(
        patient.is_platforms() && patient.to_string().ends_with("no answer within 5 s"),
        "{patient}"
    );
    assert!(patient_took < Duration::from_secs(12), "{patient_took:?}");
    assert!(
        impatient.is_platforms() && impatient.to_string().ends_with("no answer within 2 s"),
        "{impatient}"
    );
    assert!(
        impatient_took < Duration::from_millis(4_500),
        "{impatient_took:?}"
    );
}

fn port_of(url: &str) -> u16 {
    Opts::from_url(url).unwrap().tcp_port()
}

/// A warm pool meets a server that fell silent: an idle connection is asked whether it answers, and a call in mid-work
/// is given up. Afterwards none of them is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_connections_that_fell_silent_are_closed_and_say_so() {
    let stage = Stage::new().await;
    let url = std::env::var("LEDGER_URL").unwrap();
    let network = Forwarder::to(port_of(&url)).await;
    let (login, _) = url.split_once('@').unwrap();
    let settings = LedgerSettings {
        url: format!("{login}@127.0.0.1:{}/{}", network.port, stage.database.name()).into(),
        connections_max: 2,
    };
    let ledger = Ledger::connect(&settings).await.unwrap().impatient();
    ledger.now().await.unwrap();
    network.fall_silent();
    let begun = Instant::now();
    let error = ledger.now().await.unwrap_err();
    assert!(
        error.is_platforms() && error.to_string().contains("no answer within"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(24), "{:?}", begun.elapsed());
}

async fn migration(ledger: &Ledger) -> Result<MigrationId, LedgerError> {
    let migration = NewMigration {
        id: MigrationId(Uuid::now_v7()),
        kind: MigrationKind::Backfill,
        priority: Priority::try_from(0).unwrap(),
        batch_size: 100,
        filter: None,
        from: instant("2026-01-01T00:00:00Z"),
        to: Some(instant("2026-01-02T00:00:00Z")),
        requested_by: "test".into(),
    };
    ledger.make_migration(&migration).await.map(|()| migration.id)
}

/// A cluster fails over: its name leads to the new writer, and the old one stays up, read-only. A pool whose connections
/// stood before must not go on asking the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_after_a_failover_the_old_writers_connections_are_closed_and_the_new_one_is_asked() {
    let (old, new) = tokio::join!(LedgerServer::start(), LedgerServer::start());
    for server in [&old, &new] {
        // Without a right that lets it write where the server is read-only.
        server.administer("CREATE USER 'worker'@'127.0.0.1'").await;
        server
            .administer("GRANT ALL PRIVILEGES ON granary.* TO worker@127.0.0.1")
            .await;
    }
    let name = Forwarder::to(old.port).await;
    let settings = LedgerSettings {
        url: format!("mysql://worker@127.0.0.1:{}/granary", name.port).into(),
        connections_max: 3,
    };
    old.ledger().await.disconnect();
    let ledger = Ledger::connect(&settings).await.unwrap();
    let (first, second, third) = tokio::join!(migration(&ledger), ledger.now(), ledger.now());
    first.unwrap();
    second.and(third).unwrap();

    // What was written before doesn't matter here: the new writer has the tables, as a replica has.
    new.ledger().await.disconnect();
    old.be_read_only().await;
    name.lead_to(new.port);
    let begun = Instant::now();
    migration(&ledger).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    let made = "SELECT COUNT(*) FROM migration";
    assert_eq!((old.count(made).await, new.count(made).await), (1, 1));
    let on_the_old = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'worker'";
    for _ in 0..POLLS_MAX {
        if old.count(on_the_old).await == 0 {
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    panic!("connections to the old writer are left");
}

/// 1226: the user has all connections that it may have. A call waits for one, and fails as in an outage where none comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_user_without_a_connection_to_spare_waits_as_in_an_outage() {
    let stage = Stage::new().await;
    let user = User::new(&stage, "ALL PRIVILEGES", "WITH MAX_USER_CONNECTIONS 1").await;
    let ledger = user.ledger("of-a-test").impatient();
    ledger.ready().await.unwrap();
    let calls = tokio::join!(ledger.now(), ledger.now(), ledger.now(), ledger.now());
    assert!(
        calls.0.is_ok() && calls.1.is_ok() && calls.2.is_ok() && calls.3.is_ok(),
        "{calls:?}"
    );

    let another = user.ledger("of-a-test").impatient();
    let refused = another.ready().await.unwrap_err();
    assert!(format!("{refused:?}").contains("1226"), "{refused:?}");
    assert_eq!((refused.remedy(), refused.is_platforms()), (Remedy::Wait, true));
    ledger.disconnect();
    another.ready().await.unwrap();
    another.disconnect();
    user.drop().await;
}

/// 1969 of MariaDB, 3024 of MySQL: the server ends a statement that takes too long. Its own limit counts, where it is shorter
/// than Granary's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_statement_that_the_server_ended_for_its_length_asks_for_less_and_is_not_repeated() {
    let (limit, code) = match ServerKind::of_stack() {
        ServerKind::MariaDb => ("--max-statement-time=0.5", "1969"),
        ServerKind::MySql => ("--max-execution-time=500", "3024"),
    };
    let server = LedgerServer::start_with(&[limit]).await;
    let ledger = server.ledger().await;
    let id = migration(&ledger).await.unwrap();
    let mut other = server.connection().await;
    other.query_drop("LOCK TABLES migration WRITE").await.unwrap();
    let begun = Instant::now();
    let ended = ledger.migration(id).await.unwrap_err();
    assert!(format!("{ended:?}").contains(code), "{ended:?}");
    assert!(ended.wants_less() && ended.is_platforms());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    other.disconnect().await.unwrap();
}

/// 1142: refused at once, and the missing right is named; neither the user nor an address is.
#[tokio::test]
async fn a_missing_right_is_named() {
    let stage = Stage::new().await;
    let user = User::new(&stage, "SELECT", "WITH MAX_USER_CONNECTIONS 0").await;
    let ledger = user.ledger("of-a-test");
    ledger.ready().await.unwrap();
    let refused = migration(&ledger).await.unwrap_err();
    let said = refused.to_string();
    assert_eq!(
        (refused.remedy(), refused.is_platforms()),
        (Remedy::Refuse, false)
    );
    assert!(
        said.contains("INSERT") && said.contains("migration") && !said.contains(&user.name),
        "{said}"
    );
    ledger.disconnect();
    user.drop().await;
}

/// 1045 and the code of a locked account: the secret is read again, and the same login isn't tried again and again.
#[tokio::test]
async fn d1_a_refused_login_asks_for_the_secret_and_is_not_repeated() {
    let stage = Stage::new().await;
    let user = User::new(&stage, "ALL PRIVILEGES", "WITH MAX_USER_CONNECTIONS 0").await;
    let begun = Instant::now();
    let wrong = user.ledger("another").ready().await.unwrap_err();
    let mut conn = administrator().await;
    conn.query_drop(format!("ALTER USER '{}'@'%' ACCOUNT LOCK", user.name))
        .await
        .unwrap();
    conn.disconnect().await.unwrap();
    let locked = user.ledger("of-a-test").ready().await.unwrap_err();
    for refused in [wrong, locked] {
        assert_eq!(
            (refused.remedy(), refused.is_platforms()),
            (Remedy::FetchSecret, true),
            "{refused:?}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    user.drop().await;
}
