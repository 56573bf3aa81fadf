//! Everything over TLS with a private authority: Elasticsearch behind a real nginx, the ledger on a MariaDB with a
//! certificate. And the error where the authority is another one.

use super::{assert_recovered, harvested};
use crate::stage::{
    API_KEY, Addresses, Authority, BEARER_TOKEN, Function, LedgerServer, Nginx, Secret, Stage,
};
use serde_json::{Value, json};

const ON_THIS_MACHINE: &str = "DNS:localhost,IP:127.0.0.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_messages_are_archived_over_tls_with_private_authorities() {
    let (of_ledger, of_source) = (Authority::new(), Authority::new());
    let shown = of_ledger.sign(ON_THIS_MACHINE);
    let server = LedgerServer::with_certificate(&shown.certificate, &shown.key).await;
    let addresses = Addresses::from_environment().with_ledger_server(&server);
    let mut stage = Stage::at(addresses, "tls", &[]).await;
    let nginx = Nginx::before(stage.setting("GRANARY_ES_URL"), &of_source.sign(ON_THIS_MACHINE)).await;
    nginx.let_in("reader", "hunter2");
    let ledger = format!("{}?require_ssl=true", stage.setting("GRANARY_LEDGER_URL"));
    let source = nginx.url.replace("https://", "https://reader:hunter2@");
    stage.tell(&[
        ("GRANARY_ENVIRONMENT", "production"),
        ("GRANARY_LEDGER_URL", &ledger),
        ("GRANARY_LEDGER_CA", &of_ledger.pem()),
        ("GRANARY_ES_URL", &source),
        ("GRANARY_ES_CA", &of_source.pem().replace('\n', "\\n")),
    ]);
    let messages = harvested(&stage).await;
    assert_recovered(&stage, &messages).await;
    assert!(nginx.answered(200) > 0);

    let examined = stage.look_at("/doctor").await;
    let found = |check: &str| {
        let checks = examined["checks"].as_array().unwrap();
        let check = checks.iter().find(|found| found["check"] == check).unwrap();
        check["found"].as_str().unwrap().to_owned()
    };
    assert!(found("ledgerConnection").starts_with("encrypted by TLS_"));
    assert!(found("elasticsearchConnection").starts_with("encrypted"));
    stage.finish().await;
}

/// What a harvester with these settings does at its first tick.
async fn first_tick(stage: &Stage, settings: &[(&str, &str)]) -> Result<Value, String> {
    let harvester: Function = stage.another("harvester", settings);
    let ticked = harvester.invoke(json!({}), crate::stage::HARVESTER_TIMEOUT).await;
    let log = harvester.log().join("\n");
    harvester.kill().await;
    ticked.map_err(|error| format!("{error:?}\n{log}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_elasticsearch_takes_each_kind_of_credential_and_a_wrong_one_is_told_with_its_setting() {
    let authority = Authority::new();
    let stage = Stage::new("credentials").await;
    let nginx = Nginx::before(stage.setting("GRANARY_ES_URL"), &authority.sign(ON_THIS_MACHINE)).await;
    nginx.let_in("reader", "hunter2");
    for (credential, is_taken) in [
        (json!({"api_key": API_KEY}), true),
        (json!({"bearer": BEARER_TOKEN}), true),
        (
            json!({"username": "reader", "password": "hunter2", "engine": "elasticsearch"}),
            true,
        ),
        (json!({"api_key": "hunter3"}), false),
        (json!({"username": "reader", "password": "hunter3"}), false),
    ] {
        let secret = Secret::new(&credential).await;
        let settings = [
            ("GRANARY_ES_URL", nginx.url.as_str()),
            ("GRANARY_ES_CA", &authority.pem()),
            ("GRANARY_ES_SECRET_ARN", &secret.arn),
        ];
        let ticked = first_tick(&stage, &settings).await;
        assert_eq!(ticked.is_ok(), is_taken, "{credential}: {ticked:?}");
        if let Err(text) = ticked {
            assert!(
                text.contains("refused the login") && text.contains("GRANARY_ES_SECRET_ARN"),
                "{text}"
            );
            assert!(!text.contains("hunter3"), "{text}");
        }
        secret.forget().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_an_elasticsearch_that_is_not_trusted_is_told_with_what_to_set() {
    let (authority, another) = (Authority::new(), Authority::new());
    let stage = Stage::new("not-trusted").await;
    let nginx = Nginx::before(stage.setting("GRANARY_ES_URL"), &authority.sign(ON_THIS_MACHINE)).await;
    let for_others = Nginx::before(stage.setting("GRANARY_ES_URL"), &authority.sign("DNS:es.example")).await;
    for (url, ca, told) in [
        (
            &nginx.url,
            another.pem(),
            "Set GRANARY_ES_CA or GRANARY_ES_CA_SECRET_ARN",
        ),
        (
            &nginx.url,
            String::new(),
            "Set GRANARY_ES_CA or GRANARY_ES_CA_SECRET_ARN",
        ),
        (
            &for_others.url,
            authority.pem(),
            "Set GRANARY_ES_URL to a name that the certificate has",
        ),
    ] {
        let settings = [("GRANARY_ES_URL", url.as_str()), ("GRANARY_ES_CA", ca.as_str())];
        let text = first_tick(&stage, &settings).await.unwrap_err();
        assert!(text.contains(told) && !text.contains("es.example"), "{text}");
    }
    assert_eq!(nginx.answered(200) + nginx.answered(401), 0, "nothing was asked");
    stage.finish().await;
}
