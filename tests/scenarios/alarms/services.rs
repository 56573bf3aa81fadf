//! Alarms about what Granary works with: the ledger's server, a dead-letter queue, the tokens of the API.

use super::{Course, Run, Watched};
use crate::scenarios::queue_desk::ask;
use crate::scenarios::reaping::harvested;
use crate::stage::{Addresses, LedgerServer, Stage, request};
use granary_test_database::ServerKind;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessed_tokens_fire() {
    const GUESSES: usize = 20;
    let stage = Stage::new("alarms-login").await;
    let mut course = Course::default();
    let mut operator = Watched::new("Operator", &stage.operator);
    let ask = async |token: Option<&str>| {
        let mut asked = request("GET", "/overview", "");
        if let Some(token) = token {
            asked["headers"]["authorization"] = json!(format!("Bearer {token}"));
        }
        stage.ask(asked).await["statusCode"].clone()
    };
    assert_eq!(ask(None).await, 200);
    course.lasts(&operator.next().await);
    for guess in 0..GUESSES {
        assert_eq!(ask(Some(&format!("guess-{guess}"))).await, 401);
    }
    course.lasts(&operator.next().await);
    assert_eq!(ask(None).await, 200);
    course.lasts(&operator.next().await);
    course.assert_fires(Run::GuessedTokens);
    course.assert_rests("OperatorFails");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_received_five_times_fires_until_the_dead_letters_are_purged() {
    const RECEIVES_MAX: usize = 5;
    let (stage, _) = harvested("alarms-letters").await;
    let mut course = Course::default();
    let dead_letters = async || {
        let visible = stage.queues.visible(&stage.queues.dead_letters).await;
        let metric = "AWS/SQS/ApproximateNumberOfMessagesVisible/BatchesDeadLetters";
        vec![(metric.to_owned(), visible as f64)]
    };
    stage.export_all().await;
    course.lasts(&dead_letters().await);

    stage.queues.send(&stage.queues.normal, "nonsense").await;
    for _ in 0..RECEIVES_MAX {
        let exports = stage.export_all().await;
        assert_eq!(exports.returned.len(), 1, "{exports:?}");
        stage.let_visibility_end(&exports).await;
    }
    assert_eq!(stage.export_all().await.returned.len(), 0);
    course.lasts(&dead_letters().await);

    let body = json!({"confirm": "dead-letters"});
    let path = "/queue/purge/batchesDeadLetters";
    let (status, answer) = ask(&stage.operator, "DELETE", path, &body).await;
    assert_eq!(status, 200, "{answer}");
    course.lasts(&dead_letters().await);

    course.assert_fires(Run::DeadLetter);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_other_clients_hold_fire_until_they_end() {
    const CONNECTIONS_MAX: u32 = 60;
    const OF_OTHERS: usize = 50;
    let server = LedgerServer::start().await;
    let addresses = Addresses::from_environment().with_ledger_server(&server);
    let stage = Stage::at(addresses, "alarms-connections", &[]).await;
    let mut course = Course::default();
    let mut reaper = Watched::new("Reaper", &stage.reaper);
    server.limit_connections(CONNECTIONS_MAX).await;
    stage.reap().await;
    course.lasts(&reaper.next().await);

    let mut others = Vec::new();
    for _ in 0..OF_OTHERS {
        others.push(server.connection().await);
    }
    stage.reap().await;
    course.lasts(&reaper.next().await);

    for connection in others {
        connection.disconnect().await.unwrap();
    }
    let schema = match server.kind {
        ServerKind::MariaDb => "information_schema",
        ServerKind::MySql => "performance_schema",
    };
    // The server ends them a moment after their clients do.
    stage
        .until(&format!(
            "SELECT COUNT(*) FROM {schema}.global_status \
             WHERE variable_name = 'Threads_connected' AND CAST(variable_value AS UNSIGNED) < 40"
        ))
        .await;
    stage.reap().await;
    course.lasts(&reaper.next().await);

    course.assert_fires(Run::OtherClients);
    stage.finish().await;
}
