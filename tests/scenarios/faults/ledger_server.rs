//! The ledger's server fails: it becomes read-only, is full, is killed, breaks deadlocks, keeps locks.

use super::{FROM, NOON, TO, assert_archived_in_peace, assert_recovered, deferred, harvested, indexed};
use crate::stage::{
    Addresses, Asked, Document, EXPORTER_TIMEOUT, Exports, Fault, HttpProxy, LedgerServer, Proxy, Stage,
    failed_items, sqs_event,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KILLS: u32 = 2;
/// Long enough that whoever tries again comes through in between.
const BETWEEN_FIGHTS: Duration = Duration::from_millis(50);
/// The least that the server accepts.
const CONNECTIONS_MIN: u32 = 10;
const CONNECTIONS_USUAL: u32 = 400;

async fn on(server: &LedgerServer, name: &str) -> Stage {
    Stage::at(
        Addresses::from_environment().with_ledger_server(server),
        name,
        &[],
    )
    .await
}

async fn connect(stage: &Stage) -> Conn {
    let opts = Opts::from_url(stage.setting("GRANARY_LEDGER_URL")).unwrap();
    Conn::new(OptsBuilder::from_opts(opts).prefer_socket(false))
        .await
        .unwrap()
}

/// D1: the server fails over. Connections stay, and nothing can be written through them for a while (1290).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_ledger_that_is_read_only_for_a_while_costs_no_attempt() {
    let server = LedgerServer::start().await;
    let stage = on(&server, "read-only").await;
    let messages = indexed(&stage).await;
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    assert_eq!(stage.export_one().await.acknowledged, 1);
    stage.reap().await;
    stage.backfill(NOON, TO).await;

    server.be_read_only().await;
    let (exported, _, _) = tokio::join!(
        async {
            let exported = stage.export_one().await;
            server.be_writable().await;
            exported
        },
        // Whether they outlast it is a matter of time; that they lose nothing is not.
        stage.try_harvest(),
        stage.try_reap()
    );
    assert_eq!(
        (
            exported.acknowledged,
            exported.returned.len(),
            exported.errors.len()
        ),
        (0, 1, 0),
        "a message that can't be claimed goes back: {exported:?}"
    );
    stage.let_leases_end().await;
    stage.let_visibility_end(&exported).await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// D1: the server fails over to another one, and stays up itself, read-only. What is connected to it then must not stay so:
/// the next calls of warm processes reach the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_after_a_failover_warm_functions_ask_the_new_writer_and_leave_the_old_one() {
    let old = LedgerServer::start_as_writer().await;
    let name = Proxy::before(&old.url()).await;
    let addresses = Addresses::from_environment().with_ledger_at(&name.url());
    let stage = Stage::at(addresses, "failover", &[]).await;
    let messages = indexed(&stage).await;
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    assert_eq!(stage.export_one().await.acknowledged, 1);
    stage.reap().await;

    let new = old.replica().await;
    new.take_over_from(&old).await;
    name.lead_to(&new.url());
    stage.backfill(NOON, TO).await;
    let (harvested, exported, reaped) =
        tokio::join!(stage.try_harvest(), stage.export_one(), stage.try_reap());
    assert!(harvested.is_ok() && reaped.is_ok(), "{harvested:?} {reaped:?}");
    assert_eq!(
        (exported.acknowledged, exported.errors.len()),
        (1, 0),
        "{exported:?}"
    );
    assert_recovered(&stage, &messages).await;
    assert_eq!(old.connections_to_ledgers().await, 0);
    stage.finish().await;
}

/// D1: 1226. Four exporters start at once, as a user that may have two connections. Those without one hand their message back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_exporters_without_a_connection_to_spare_start_and_hand_their_messages_back() {
    let server = LedgerServer::start().await;
    let stage = on(&server, "too-few").await;
    let messages = harvested(&stage).await;
    let few = server.user_with_connections("few", 2).await;
    let url = stage.setting("GRANARY_LEDGER_URL");
    let (_, database) = url.rsplit_once('/').unwrap();
    let few = format!("{few}/{database}");
    let exporters = [(); 4].map(|()| stage.another("exporter", &[("GRANARY_LEDGER_URL", &few)]));
    let received = stage.receive_all().await;
    assert_eq!(received.len(), 4);
    let export = |number: usize| {
        let (queue, message) = &received[number];
        exporters[number].invoke(sqs_event(&[(queue, message)]), EXPORTER_TIMEOUT)
    };
    let (first, second, third, fourth) = tokio::join!(export(0), export(1), export(2), export(3));
    let mut handed_back = 0;
    for (answer, (queue, message)) in [first, second, third, fourth].into_iter().zip(&received) {
        let failed = failed_items(&answer.expect("it starts without the ledger"));
        handed_back += failed.len();
        if failed.is_empty() {
            stage.queues.delete(queue, message).await;
        } else {
            stage.queues.make_visible(queue, message).await;
        }
    }
    assert!(
        (1..4).contains(&handed_back),
        "{handed_back} of 4 had no connection"
    );
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// D1: 1040. Who is connected continues; who isn't starts all the same, and hands its message back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_too_many_connections_keep_new_workers_out_and_lose_no_message() {
    let server = LedgerServer::start().await;
    let stage = on(&server, "too-many").await;
    let messages = harvested(&stage).await;
    assert_eq!(stage.export_one().await.acknowledged, 1);

    server.limit_connections(CONNECTIONS_MIN).await;
    let mut others = Vec::new();
    let url = Opts::from_url(stage.setting("GRANARY_LEDGER_URL")).unwrap();
    let refused = loop {
        match Conn::new(OptsBuilder::from_opts(url.clone()).prefer_socket(false)).await {
            Ok(conn) => others.push(conn),
            Err(error) => break error.to_string(),
        }
    };
    assert!(refused.contains("1040"), "{refused}");
    let (queue, message) = stage.queues.receive().await.expect("batches were sent");
    let event = sqs_event(&[(queue, &message)]);
    let cold = stage.exporter(1).invoke(event, EXPORTER_TIMEOUT).await;
    let warm = stage.export_one().await;
    let handed_back = failed_items(&cold.expect("it starts without the ledger"));
    assert_eq!(handed_back.len(), 1);
    assert_eq!((warm.acknowledged, warm.errors.len()), (1, 0), "{warm:?}");

    for conn in others {
        conn.disconnect().await.unwrap();
    }
    server.limit_connections(CONNECTIONS_USUAL).await;
    stage.queues.make_visible(queue, &message).await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// D1: SIGKILL and restart, again and again, while a harvester and an exporter are at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_server_that_is_killed_and_restarted_in_mid_run_loses_and_doubles_nothing() {
    let mut server = LedgerServer::start().await;
    let settings = [("GRANARY_BATCH_SIZE", "10"), ("GRANARY_LEASE_SECONDS", "10")];
    let stage = Stage::at(
        Addresses::from_environment().with_ledger_server(&server),
        "killed-server",
        &settings,
    )
    .await;
    let messages = Document::many(1_000, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    stage.reap().await;
    stage.backfill(NOON, TO).await;
    for kill in 1..=KILLS {
        let begun = format!("SELECT COUNT(*) >= {} FROM attempt", 10 * kill);
        let (_, exports, ()) = tokio::join!(
            stage.try_harvest(),
            async {
                let mut exports = Exports::default();
                while exports.returned.is_empty() && exports.acknowledged < 15 {
                    exports.add(stage.export_one().await);
                }
                exports
            },
            async {
                stage.until(&begun).await;
                server.kill();
                server.restart().await;
            }
        );
        // Whoever gave up while it was away left a lease behind, or a message that comes again.
        stage.let_leases_end().await;
        stage.let_visibility_end(&exports).await;
    }
    stage.run_until_quiet().await;
    let failed: Vec<String> = stage
        .rows("SELECT DISTINCT outcome FROM attempt WHERE outcome NOT IN ('completed', 'deferred', 'reaped')")
        .await;
    assert_eq!(failed, [""; 0], "a dead server is nobody's failure");
    assert_archived_in_peace(&stage, &messages).await;
    stage.finish().await;
}

/// What an exporter says when the tries within one request weren't enough.
const TRIED_AGAIN: &str = "the attempt's end is not on record yet";

fn is_manifest(asked: &Asked) -> bool {
    asked.method == "PUT" && asked.path.contains("/_manifests/")
}

fn is_mget(asked: &Asked) -> bool {
    asked.path.contains("_mget")
}

/// An exporter's ledger goes away the moment that another service is asked something, and comes back when the exporter has
/// given up a whole request over it: later than all tries of that request, and within the lease.
async fn while_the_ledger_is_away(name: &str, service: (&str, &str), applies: fn(&Asked) -> bool) -> Stage {
    let (variable, address) = service;
    let mut stage = Stage::new(name).await;
    let ledger = Arc::new(Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await);
    let beside = HttpProxy::before(stage.setting(address)).await;
    stage.tell(&[("GRANARY_LEDGER_URL", &ledger.url()), (variable, &beside.url)]);
    let messages = harvested(&stage).await;
    // Whoever decides about a fault sees each request before the service does. It lets all of them pass: the fault is the
    // ledger's, and it comes once.
    let (network, is_up) = (ledger.clone(), AtomicBool::new(true));
    beside.inject(Fault::BreakOffAfter { bytes: 0 }, 1, move |asked| {
        if applies(asked) && is_up.swap(false, Ordering::Relaxed) {
            network.cut();
        }
        false
    });
    let (exports, ()) = tokio::join!(stage.export_one(), async {
        stage.exporter(0).until_it_says(TRIED_AGAIN).await;
        ledger.restore();
    });
    assert_eq!(
        (exports.acknowledged, exports.errors.len()),
        (1, 0),
        "its end is on record: {exports:?}"
    );
    assert_recovered(&stage, &messages).await;
    stage
}

/// D1: a failover takes longer than one request waits. The object and its manifest are written, and the batch is settled
/// when the ledger is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_ledger_that_is_away_while_a_batch_is_settled_costs_no_attempt() {
    let s3 = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    let stage = while_the_ledger_is_away("settling", s3, is_manifest).await;
    let outcomes: Vec<String> = stage.rows("SELECT DISTINCT outcome FROM attempt").await;
    assert_eq!(outcomes, ["completed"]);
    stage.finish().await;
}

/// D1: the same in mid-work. The batch is deferred, and nothing in it is suspected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_ledger_that_is_away_while_messages_are_fetched_defers_the_batch_and_costs_no_attempt() {
    let elasticsearch = ("GRANARY_ES_URL", "GRANARY_ES_URL");
    let stage = while_the_ledger_is_away("fetching", elasticsearch, is_mget).await;
    assert_eq!(deferred(&stage, "ledger_unavailable").await, 1);
    stage.finish().await;
}

/// Takes locks in the order that is wrong for everybody else, with so many rows in hand that it is never the victim.
async fn provoke_deadlocks_until(is_over: &AtomicBool, mut conn: Conn) {
    conn.query_drop("CREATE TABLE ballast (n INT PRIMARY KEY)")
        .await
        .unwrap();
    let rows: Vec<_> = (0..2_000).map(|n| format!("({n})")).collect();
    conn.query_drop(format!("INSERT INTO ballast VALUES {}", rows.join(",")))
        .await
        .unwrap();
    while !is_over.load(Ordering::Relaxed) {
        conn.query_drop("START TRANSACTION").await.unwrap();
        conn.query_drop("UPDATE ballast SET n = n + 10000 ORDER BY n DESC")
            .await
            .unwrap();
        let mut locked = Ok(());
        for statement in [
            "SELECT batch_id FROM attempt FOR UPDATE",
            "DO SLEEP(0.02)",
            "SELECT id FROM batch FOR UPDATE",
            "DO SLEEP(0.02)",
            "SELECT id FROM harvest_window FOR UPDATE",
            "SELECT id FROM migration FOR UPDATE",
        ] {
            locked = locked.and(conn.query_drop(statement).await);
        }
        // It may have lost all the same.
        locked.ok();
        conn.query_drop("ROLLBACK").await.unwrap();
        tokio::time::sleep(BETWEEN_FIGHTS).await;
    }
    conn.disconnect().await.unwrap();
}

/// D1: another client takes the same locks in another order, so that transactions lose deadlocks (1213) all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_deadlocks_with_another_client_are_tried_again_until_they_pass() {
    let server = LedgerServer::start().await;
    let settings = [("GRANARY_BATCH_SIZE", "10")];
    let addresses = Addresses::from_environment().with_ledger_server(&server);
    let stage = Stage::at(addresses, "deadlocks", &settings).await;
    let messages = Document::many(400, 10..14);
    stage.harvest().await;
    stage.index_messages(&messages).await;
    let is_over = AtomicBool::new(false);
    let run = async {
        for (from, to) in [(FROM, NOON), (NOON, TO)] {
            stage.backfill(from, to).await;
            stage.harvest().await;
            let exports = stage.export_all().await;
            assert_eq!(
                (exports.returned.len(), exports.errors.len()),
                (0, 0),
                "{exports:?}"
            );
            stage.reap().await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let brawl = async { provoke_deadlocks_until(&is_over, connect(&stage).await).await };
    tokio::join!(run, brawl);
    let deadlocks = server.deadlocks().await;
    let log = [
        stage.harvester.log(),
        stage.exporter(0).log(),
        stage.exporter(1).log(),
    ]
    .concat();
    let repeated = log.concat().matches("the ledger is asked again").count();
    assert!(
        deadlocks > 0 && repeated > 0,
        "{deadlocks} deadlocks, {repeated} repetitions"
    );
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}
