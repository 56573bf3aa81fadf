//! The API's tokens from the command line to the audit, with a real Secrets Manager behind them. How soon a running operator
//! notices a change is held by the unit test of `Reread`; here each look is a new process.

use crate::stage::{Addresses, Printed, REAPER_TIMEOUT, Stage, granary, request};
use aws_sdk_secretsmanager::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TOKENS: u32 = 40;

/// A stage whose tokens are in a secret.
struct Desk {
    stage: Stage,
    client: Client,
    secret: String,
}

impl Desk {
    async fn new(name: &str) -> Self {
        let stage = Stage::new(name).await;
        let client = Client::new(&granary_environment::aws::sdk_config().await);
        let secret = format!("granary-test-{}", stage.id);
        Self {
            stage,
            client,
            secret,
        }
    }

    async fn says(&self, line: &str) -> Printed {
        let words: Vec<&str> = line
            .split_whitespace()
            .chain(["--secret-name", &self.secret])
            .collect();
        let of_aws = Addresses::from_environment().of_aws();
        let variables: Vec<(&str, &str)> = of_aws
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        granary(&words, &variables).await
    }

    async fn create(&self, line: &str) -> String {
        let said = self.says(&format!("token create {line}")).await;
        assert_eq!(said.code, 0, "{said:?}");
        let token = said.out.trim_end().to_owned();
        assert!(
            token.starts_with("granary_") && token.len() == 51 && !said.err.contains(&token),
            "{said:?}"
        );
        token
    }

    /// What a new operator answers to a token.
    async fn asks(&self, token: &str, method: &str, path: &str, body: &str) -> (u64, Value) {
        let arn = self.client.describe_secret().secret_id(&self.secret).send().await;
        let arn = arn.unwrap().arn.unwrap();
        let settings = [
            ("GRANARY_TOKENS", ""),
            ("GRANARY_TOKENS_SECRET_ARN", arn.as_str()),
        ];
        let operator = self.stage.another("operator", &settings);
        let mut event = request(method, path, body);
        event["headers"]["authorization"] = json!(format!("Bearer {token}"));
        let answer = operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
        operator.kill().await;
        let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), body)
    }

    async fn finish(self) {
        let delete = self.client.delete_secret().secret_id(&self.secret);
        delete.force_delete_without_recovery(true).send().await.unwrap();
        self.stage.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_token_of_the_command_line_opens_the_api_until_it_is_revoked_and_the_audit_names_it() {
    let desk = Desk::new("tokens").await;
    let ada = desk.create("ada --role operator --expires 90d").await;
    let bob = desk.create("bob --role viewer").await;
    let taken = desk.says("token create ada --role viewer").await;
    assert_eq!(
        (
            taken.code,
            taken.out.as_str(),
            taken.err.contains("revoke it first")
        ),
        (1, "", true),
        "{taken:?}"
    );

    let (status, answer) = desk.asks(&ada, "POST", "/pause", r#"{"stage":"export"}"#).await;
    assert_eq!(status, 200, "{answer}");
    let (status, audit) = desk.asks(&bob, "GET", "/audit?action=pause", "").await;
    assert_eq!(status, 200, "{audit}");
    let entry = &audit["entries"][0];
    assert_eq!(
        (&entry["who"], &entry["address"]),
        (&json!("ada"), &json!("203.0.113.7"))
    );
    let (status, answer) = desk.asks(&bob, "POST", "/pause", r#"{"stage":"export"}"#).await;
    assert_eq!(status, 403, "{answer}");

    let listed = desk.says("token list --json").await;
    let states = |said: &Printed| {
        let tokens = said.json()["tokens"].as_array().unwrap().clone();
        Vec::from_iter(
            tokens
                .iter()
                .map(|token| format!("{} {} {}", token["name"], token["role"], token["state"])),
        )
    };
    assert_eq!(
        states(&listed),
        [r#""ada" "operator" "valid""#, r#""bob" "viewer" "valid""#]
    );
    assert_eq!(desk.says("token revoke ada").await.code, 0);
    let (status, answer) = desk.asks(&ada, "GET", "/tune", "").await;
    assert_eq!(status, 401, "{answer}");
    assert_eq!(desk.asks(&bob, "GET", "/tune", "").await.0, 200);
    let gone = desk.says("token revoke ada").await;
    assert!(
        gone.code == 1 && gone.err.contains("no token named ada"),
        "{gone:?}"
    );
    desk.finish().await;
}

/// Creations side by side on one secret: none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_forty_tokens_work_side_by_side_and_none_is_lost() {
    let desk = Desk::new("tokens-many").await;
    let mut tokens = Vec::new();
    for number in 0..TOKENS - 2 {
        tokens.push(desk.create(&format!("person-{number} --role viewer")).await);
    }
    let (one, other) = tokio::join!(
        desk.create("one --role viewer"),
        desk.create("other --role viewer")
    );
    tokens.extend([one, other]);
    let listed = desk.says("token list --plain").await;
    let names: BTreeSet<&str> = listed
        .out
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(names.len(), tokens.len(), "{listed:?}");
    for token in [&tokens[0], &tokens[20], &tokens[38], &tokens[39]] {
        assert_eq!(desk.asks(token, "GET", "/tune", "").await.0, 200);
    }
    desk.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_an_expired_token_is_refused_in_its_own_words() {
    let desk = Desk::new("tokens-expired").await;
    let ada = desk.create("ada --role viewer --expires 1h").await;
    let read = desk
        .client
        .get_secret_value()
        .secret_id(&desk.secret)
        .send()
        .await;
    let mut document: Value = serde_json::from_str(&read.unwrap().secret_string.unwrap()).unwrap();
    document["tokens"][0]["expires"] = json!("2026-01-01T00:00:00Z");
    let put = desk.client.put_secret_value().secret_id(&desk.secret);
    put.secret_string(document.to_string()).send().await.unwrap();
    let (status, answer) = desk.asks(&ada, "GET", "/tune", "").await;
    assert_eq!(
        (status, answer["detail"].as_str().unwrap()),
        (401, "The token `ada` expired at 2026-01-01T00:00:00Z.")
    );
    desk.finish().await;
}
